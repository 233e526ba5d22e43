package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// A fakeStore has paths that are corrupt until they are mended.
type fakeStore struct {
	mu      sync.Mutex
	since   []proto.StorePath // what Added was asked; guarded by mu, as all below
	systems []proto.StorePath // likewise, the last time
	corrupt []proto.StorePath
	read    int           // how often paths were read
	reading chan struct{} // if set, reading takes until it is closed
	failure error         // why nothing can be read
	caches  []string      // those that can mend
	synced  bool
}

func (s *fakeStore) Added(_ context.Context, since proto.StorePath, systems ...proto.StorePath) ([]proto.StorePath, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.systems = append(s.since, since), systems
	return slices.Clone(s.corrupt), s.failure
}

func (s *fakeStore) Changed(ctx context.Context, paths []proto.StorePath) ([]proto.StorePath, error) {
	s.mu.Lock()
	s.read++
	reading := s.reading
	s.mu.Unlock()
	if reading != nil {
		select {
		case <-reading:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return paths, nil
}

func (s *fakeStore) Mend(_ context.Context, p proto.StorePath, caches []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(caches, func(c string) bool { return slices.Contains(s.caches, c) }) {
		return errors.New("no cache has it")
	}
	s.corrupt = slices.DeleteFunc(s.corrupt, func(q proto.StorePath) bool { return q == p })
	return nil
}

func (s *fakeStore) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced = true
	return nil
}

func (w *world) GoingDown(context.Context) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down, nil
}

// boots makes b what is known of the last boot.
func (w *world) boots(b statefile.Boot) {
	w.t.Helper()
	if err := errors.Join(w.files.Prepare(), w.files.SaveBoot(b)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) boot() statefile.Boot {
	w.t.Helper()
	b, err := w.files.Boot()
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func TestTheEndOfABootIsNoted(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	if b := w.boot(); b.ID != "boot" || b.Clean || b.Unverified || b.Sound != pathA {
		t.Errorf("in the first boot %+v is known", b)
	}
	stop()
	if b := w.boot(); b.Clean || w.store.synced {
		t.Errorf("%+v is known although only the agent ended", b)
	}
	stop = w.start()
	w.change(func() { w.down = true })
	stop()
	if b := w.boot(); !b.Clean || !w.store.synced {
		t.Errorf("%+v is known after an orderly end, synced: %t", b, w.store.synced)
	}
	if w.store.read > 0 {
		t.Error("the store was read")
	}
}

func TestWhoIsRestartedToBeJudgedDoesNotAskWhetherTheHostGoesDown(t *testing.T) {
	w := newWorld(t)
	w.boots(statefile.Boot{ID: "boot", Sound: pathA})
	w.change(func() { w.down = true })
	end := func(d deployment.Deployment) statefile.Boot {
		w.record(d)
		w.start()()
		return w.boot()
	}
	d := deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseProbation, Proven: deployment.Proven{Toplevel: pathA}}
	if b := end(d); !b.Clean {
		t.Errorf("%+v is known, though no transaction judges", b)
	}
	lock, err := w.files.LockTransaction()
	if err != nil {
		t.Fatal(err)
	}
	if b := end(d); b.Clean {
		t.Errorf("%+v is known, though it is being judged", b)
	}
	d.Trial = true
	if b := end(d); !b.Clean {
		t.Errorf("%+v is known after a trial boot, which may end with another one", b)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestNothingIsVerifiedAfterAnOrderlyEnd(t *testing.T) {
	w := newWorld(t)
	w.boots(statefile.Boot{ID: "before", Sound: pathB, Clean: true})
	w.start()
	w.assign(7, pathA)
	s := w.awaitStatus("to converge", func(s proto.Status) bool { return condition(s, proto.ConditionReady).Status == proto.StatusTrue })
	if c := condition(s, proto.ConditionStoreValid); c.Status != proto.StatusTrue || w.store.read > 0 {
		t.Errorf("store is %+v after it was read %d times", c, w.store.read)
	}
	if b := w.boot(); b.Sound != pathA || b.Clean {
		t.Errorf("%+v is known, want what runs to be sound", b)
	}
}

func TestWhatWasAddedIsVerifiedAfterAPowerCut(t *testing.T) {
	w := newWorld(t)
	w.boots(statefile.Boot{ID: "before", Sound: pathC})
	w.record(deployment.Deployment{ID: "6-x", Serial: 6, Toplevel: pathB, Phase: proto.PhaseInconclusive, Proven: deployment.Proven{Toplevel: pathA}})
	reading := make(chan struct{})
	w.store.reading = reading
	w.start()
	w.assign(7, pathB)
	s := w.awaitStatus("to wait for it", func(s proto.Status) bool { return condition(s, proto.ConditionReady).Reason == proto.ReasonVerifying })
	if c := condition(s, proto.ConditionStoreValid); c.Status != proto.StatusUnknown || c.Reason != proto.ReasonVerifying {
		t.Errorf("store is %+v meanwhile", c)
	}
	close(reading)
	w.awaitTransaction()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if want := []proto.StorePath{pathA, pathB}; !slices.Equal(w.store.since, []proto.StorePath{pathC}) || !slices.Equal(w.store.systems, want) {
		t.Errorf("verified what %v have and %v has not, want %v and %v", w.store.systems, w.store.since, want, pathC)
	}
	if b := w.boot(); b.Sound != pathA || b.Unverified || w.store.read != 1 {
		t.Errorf("%+v is known after it was read %d times", b, w.store.read)
	}
}

func TestAWayBackWaitsForNoVerification(t *testing.T) {
	w := newWorld(t)
	w.boots(statefile.Boot{ID: "before", Sound: pathC})
	w.record(deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseRollingBack, Proven: deployment.Proven{Toplevel: pathA}})
	w.store.reading = make(chan struct{})
	w.start()
	w.awaitTransaction()
}

func TestWhatIsCorruptIsMended(t *testing.T) {
	w := newWorld(t)
	// Torn by what tore the store.
	if err := os.WriteFile(filepath.Join(w.files.State, "boot.json"), []byte(`{"form`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.store.corrupt = []proto.StorePath{pathA, pathC}
	stop := w.start()
	w.awaitStatus("the store to be found corrupt", func(s proto.Status) bool {
		c := condition(s, proto.ConditionStoreValid)
		return c.Status == proto.StatusFalse && c.Reason == proto.ReasonStoreCorrupt && strings.Contains(c.Message, pathA.String())
	})
	stop()
	if c := condition(agent.StatusFromFiles(w.host, w.files.State, w.files.Runtime, time.Now()), proto.ConditionStoreValid); c.Status != proto.StatusFalse {
		t.Errorf("store is %+v by the files alone", c)
	}
	w.store.caches, w.caches = []string{"http://cache"}, []string{"http://cache"}

	stop = w.start()
	w.awaitStatus("the store to be mended", func(s proto.Status) bool { return condition(s, proto.ConditionStoreValid).Status == proto.StatusTrue })
	w.await("both to be told", func() bool {
		told := func(text string) bool {
			return slices.ContainsFunc(w.events, func(e proto.Event) bool { return strings.Contains(e.Message, text) })
		}
		return told("have not the content that is registered (2)") && told("mended "+pathC.String())
	})
	stop()
	if w.store.read != 1 || len(w.store.corrupt) > 0 || len(w.boot().Corrupt) > 0 {
		t.Errorf("read %d times, want once in a boot; %v are corrupt, and %+v is known", w.store.read, w.store.corrupt, w.boot())
	}
}

func TestAStoreThatCannotBeVerifiedHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.boots(statefile.Boot{ID: "before", Sound: pathC})
		w.store.failure = errors.New("the database is locked")
		ctx, cancel := context.WithCancel(t.Context())
		a := w.agent()
		a.BeginBoot(ctx)
		ended := make(chan error, 2)
		go func() { ended <- a.Follow(ctx) }()
		go func() { ended <- a.VerifyStore(ctx) }()
		w.assign(7, pathB)
		synctest.Wait()
		if c := condition(a.Status(), proto.ConditionStoreValid); c.Status != proto.StatusUnknown || !strings.Contains(c.Message, "locked") {
			t.Errorf("store is %+v, want why it is not known", c)
		}
		w.awaitTransaction()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := len(w.store.since); n < 3 || n > 20 {
			t.Errorf("tried %d times in a day", n)
		}
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			t.Error(err)
		}
	})
}
