package controller

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto/bus"
)

// fakeNATS is a connection, and what hangs on it. It notes what it is asked for.
type fakeNATS struct {
	mu      sync.Mutex // guards what follows
	state   bus.State
	changed chan struct{}
	calls   []string
	lost    []string         // streams, which is told once
	fail    map[string]error // by call
	health  error
	mends   bool
}

func newFakeNATS() *fakeNATS {
	return &fakeNATS{changed: make(chan struct{}), fail: map[string]error{}}
}

// connect makes a new connection; disconnect ends it.
func (f *fakeNATS) connect() {
	f.set(bus.State{Connected: true, Connects: f.State().Connects + 1})
}
func (f *fakeNATS) disconnect() { f.set(bus.State{Connects: f.State().Connects}) }

func (f *fakeNATS) set(s bus.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = s
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeNATS) State() bus.State {
	s, _ := f.Watch()
	return s
}

func (f *fakeNATS) Watch() (bus.State, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.changed
}

func (f *fakeNATS) call(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
	return f.fail[name]
}

func (f *fakeNATS) Elsewhere()                              { _ = f.call("elsewhere") } // it cannot fail
func (f *fakeNATS) EnsureAssets(context.Context, int) error { return f.call("ensure") }
func (f *fakeNATS) LostAssets(context.Context) ([]string, error) {
	err := f.call("look")
	f.mu.Lock()
	defer f.mu.Unlock()
	lost := f.lost
	f.lost = nil
	return lost, err
}

// refuse has a call fail with err.
func (f *fakeNATS) refuse(call string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail[call] = err
}

// lose has streams be lost.
func (f *fakeNATS) lose(streams ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = streams
}

func (f *fakeNATS) Forget()                     { _ = f.call("forget") } // it cannot fail
func (f *fakeNATS) Renew(context.Context) error { return f.call("renew") }
func (f *fakeNATS) Sync(context.Context) error  { return f.call("sync") }

// setHealth sets what Healthy and Mendable say.
func (f *fakeNATS) setHealth(err error, mends bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.health, f.mends = err, mends
}

func (f *fakeNATS) Healthy() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.health
}

func (f *fakeNATS) Mendable() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mends
}

// did returns what was called since it was asked last.
func (f *fakeNATS) did() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *fakeNATS) keeper() *keeper {
	return &keeper{conn: f, assets: f, statements: f, server: f, log: slog.New(slog.DiscardHandler)}
}

func TestKeeperDoesWhatAConnectionNeeds(t *testing.T) {
	f := newFakeNATS()
	k := f.keeper()
	for _, step := range []struct {
		name  string
		do    func()
		want  []string
		ready bool
	}{
		{"without a connection", func() {}, []string{"renew"}, false},
		{"on the first one", f.connect, []string{"renew", "look", "forget", "ensure", "sync"}, true},
		{"on the same one", func() {}, []string{"renew", "look", "sync"}, true},
		{"when it is lost", f.disconnect, []string{"renew"}, false},
		{"on the next one", f.connect, []string{"renew", "look", "forget", "ensure", "sync"}, true},
	} {
		step.do()
		if err := k.once(t.Context()); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, f.did()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		if err := k.ready(); (err == nil) != step.ready {
			t.Errorf("%s: ready = %v, want ready: %t", step.name, err, step.ready)
		}
	}
}

func TestKeeperLetsNoFailureKeepTheRestFromBeingDone(t *testing.T) {
	broken := errors.New("broken")
	for name, again := range map[string][]string{ // what is done the next time
		"renew":  {"renew", "look", "sync"},
		"look":   {"renew", "look", "sync"},
		"ensure": {"renew", "look", "ensure", "sync"},
		"sync":   {"renew", "look", "sync"},
	} {
		f := newFakeNATS()
		k := f.keeper()
		f.connect()
		f.fail[name] = broken
		if err := k.once(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%s fails: error = %v", name, err)
		}
		if diff := cmp.Diff([]string{"renew", "look", "forget", "ensure", "sync"}, f.did()); diff != "" {
			t.Errorf("%s fails (-want +got):\n%s", name, diff)
		}
		if ready := k.ready() == nil; ready != (name == "renew" || name == "look") {
			t.Errorf("%s fails: ready = %t", name, ready)
		}
		delete(f.fail, name)
		if err := k.once(t.Context()); err != nil || k.ready() != nil {
			t.Errorf("%s failed before: error = %v, ready = %v", name, err, k.ready())
		}
		if diff := cmp.Diff(again, f.did()); diff != "" {
			t.Errorf("%s failed before (-want +got):\n%s", name, diff)
		}
	}
}

func TestKeeperLooksAgainSoonAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNATS()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		f.fail["renew"] = errors.New("disk full")
		go func() { ended <- f.keeper().run(ctx) }()
		time.Sleep(keepLook)
		synctest.Wait()
		if n, want := len(f.did()), int(keepLook/keepRetry); n < want {
			t.Errorf("tried %d times in a minute, want %d", n, want)
		}
		f.connect()
		synctest.Wait()
		if !slices.Contains(f.did(), "sync") {
			t.Error("did not look at a connection at once")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestKeeperAsksAnotherServerOfACluster(t *testing.T) {
	for external, want := range map[bool]int{true: 3, false: 0} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeNATS()
			f.connect()
			f.fail["sync"] = bus.ErrTimeout
			k := f.keeper()
			if external {
				k.server = nil
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- k.run(ctx) }()
			time.Sleep(keepLook)
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			got := 0
			for _, call := range f.did() {
				if call == "elsewhere" {
					got++
				}
			}
			if got != want {
				t.Errorf("external %t: went elsewhere %d times in a minute, want %d", external, got, want)
			}
		})
	}
}

func TestKeeperEndsWhenTheServerStoresNothingAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNATS()
		f.connect()
		k := f.keeper()
		ended := make(chan error, 1)
		go func() { ended <- k.run(t.Context()) }()
		synctest.Wait()

		full := errors.New("no space left on device")
		f.setHealth(full, false)
		if err := k.ready(); !errors.Is(err, full) {
			t.Errorf("ready = %v, want %v", err, full)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("ended with %v while the disk was full: then nothing can be read", err)
		default:
		}

		f.setHealth(full, true)
		start := time.Now()
		if err := <-ended; !errors.Is(err, full) || !strings.Contains(err.Error(), "started again") {
			t.Errorf("error = %v, want one that says what to do", err)
		}
		if took := time.Since(start); took > keepLook+lostPause {
			t.Errorf("noticed after %s, want at most %s", took, keepLook+lostPause)
		}
	})
}

func TestKeeperGoesOnWhenTheServerIsIllForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNATS()
		f.setHealth(errors.New("a stream is being deleted"), true)
		ended := make(chan error, 1)
		go func() { ended <- f.keeper().run(t.Context()) }()
		synctest.Wait()
		f.setHealth(nil, true)
		time.Sleep(keepLook)
		synctest.Wait()
		select {
		case err := <-ended:
			t.Errorf("ended with %v", err)
		default:
		}
	})
}

func TestKeeperLeavesAnExternalServerAlone(t *testing.T) {
	f := newFakeNATS()
	k := f.keeper()
	k.server = nil
	f.connect()
	if err := errors.Join(k.once(t.Context()), k.examine(t.Context()), k.ready()); err != nil {
		t.Error(err)
	}
}

func TestKeeperMakesAndFillsAgainWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNATS()
		f.connect()
		k := f.keeper()
		go func() { _ = k.run(t.Context()) }() // until the test ends
		synctest.Wait()
		f.did()
		f.lose("KV_kedge-desired")
		f.refuse("ensure", errors.New("no leader yet")) // as in a cluster
		time.Sleep(keepLook + lostPause)
		synctest.Wait()
		if diff := cmp.Diff([]string{"renew", "look", "forget", "ensure", "sync"}, f.did()); diff != "" {
			t.Errorf("within the time between two looks (-want +got):\n%s", diff)
		}
		f.lose("KEDGE_STATUS")
		time.Sleep(keepRetry + lostPause)
		synctest.Wait()
		for _, stream := range []string{"KV_kedge-desired", "KEDGE_STATUS"} {
			if err := k.ready(); err == nil || !strings.Contains(err.Error(), stream) {
				t.Errorf("ready = %v, want an error that names %s", err, stream)
			}
		}
		f.did()
		f.refuse("ensure", nil)
		time.Sleep(keepRetry)
		synctest.Wait()
		if diff := cmp.Diff([]string{"renew", "look", "ensure", "sync"}, f.did()); diff != "" {
			t.Errorf("once it can be made (-want +got):\n%s", diff)
		}
		if err := k.ready(); err != nil {
			t.Errorf("ready = %v once everything is there", err)
		}
	})
}
