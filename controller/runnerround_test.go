package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kedge/controller/internal/publish"
	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
	"kedge/proto/bus"
)

// TestARunnerThatGoesBackCrashesAnywhere: what goes back to an earlier revision goes a few
// hosts at a time, whenever the controller dies.
func TestARunnerThatGoesBackCrashesAnywhere(t *testing.T) {
	const oneByOne = `{"rollout": {"waves": [{"name": "all", "hosts": "*", "maxInFlight": 1}]}}`
	for at, crashed := 0, true; crashed; at++ {
		r := newRunner()
		r.deployAs(t, "1", "", fleetOf(t, "a"))
		r.deployAs(t, "2", "", fleetOf(t, "b"))
		r.deployAs(t, "3", oneByOne, fleetOf(t, "b"))
		first := r.saver.past[1].ID
		disk := &crashingSaver{memorySaver: r.saver, at: at}
		r.runner.saver = disk
		_ = r.asks(t, proto.RolloutActRevert, first) // it may be refused, as the disk is
		crashed = disk.crashed
		again := r.restarted()
		again.mustLook(t)
		if got := again.publisher.did(); len(got) > 1 {
			t.Errorf("crash at %d: published %v at once", at, got)
		}
	}
}

// together is more hosts than are published for at the same time.
const together = 10 * publishAtOnce

// TestAPauseComesInBetween: whoever pauses a rollout that is being published to a large
// fleet waits for no publication that was not begun, since each may take long.
func TestAPauseComesInBetween(t *testing.T) {
	r := newRunner()
	all := map[proto.HostName]proto.StorePath{}
	for i := range 3 * together {
		all[host(t, fmt.Sprint("web", i))] = storePath(t, "a")
	}
	paused := make(chan error, 1)
	r.publisher.begins = func() {
		id := r.rollout.ID // the round has the mutex
		go func() {
			_, err := r.act(t.Context(), bus.Caller{Name: "ada"}, proto.RolloutActRequest{Act: proto.RolloutActPause}, id)
			paused <- err
		}()
		for r.turn.TryLock() { // until ada waits
			r.turn.Unlock()
			runtime.Gosched()
		}
	}
	r.deployAs(t, "1", "", all)
	if err := <-paused; err != nil {
		t.Fatal(err)
	}
	r.mustBe(t, "paused", rollout.Paused)
	if got := len(r.publisher.did()); got < 1 || got > publishAtOnce+1 {
		t.Errorf("published for %d hosts, want %d or one more, and then the pause", got, publishAtOnce)
	}
}

// TestWhoOnlyLooksKeepsNobodyWaiting: a fleet is not published to a few hosts at a time
// because somebody asks how far it is, nor does who asks wait for that.
func TestWhoOnlyLooksKeepsNobodyWaiting(t *testing.T) {
	r := newRunner()
	all := map[proto.HostName]proto.StorePath{}
	for i := range 3 * together {
		all[host(t, fmt.Sprint("web", i))] = storePath(t, "a")
	}
	r.publisher.begins = func() { // the round has the mutex
		if now := r.current(); now.State != rollout.Running || len(r.all()) != 1 {
			t.Errorf("rollout = %s of %d, want the one that runs", now.State, len(r.all()))
		}
		if got := r.keeps(host(t, "web1")); !slices.Contains(got, storePath(t, "a")) {
			t.Errorf("kept for web1: %v, want what it is to get", got)
		}
	}
	r.deployAs(t, "1", "", all)
	if got := len(r.publisher.did()); got != len(all) {
		t.Errorf("published for %d hosts, want %d", got, len(all))
	}
}

// TestAHoldComesInBetween: who is held while others are published for is not published
// for any more when that is answered.
func TestAHoldComesInBetween(t *testing.T) {
	r := newRunner()
	file, err := openHolds(t.TempDir()+"/holds.json", alone)
	if err != nil {
		t.Fatal(err)
	}
	r.holds = file
	o := &rollouts{runners: map[string]*runner{"main": r.runner}, holds: file, fleet: r.fleet, audit: r.audit, now: time.Now, log: r.log}
	all := map[proto.HostName]proto.StorePath{}
	for i := range 2 * together {
		all[host(t, fmt.Sprint("web", i))] = storePath(t, "a")
	}
	last := host(t, "web99")
	held := make(chan error, 1)
	r.publisher.begins = func() {
		go func() {
			_, err := o.act(t.Context(), bus.Caller{Name: "ada"}, proto.RolloutActRequest{
				Act: proto.RolloutActHold, Hosts: []proto.HostName{last}, Reason: "so",
			})
			held <- err
		}()
		for r.turn.TryLock() { // until ada waits
			r.turn.Unlock()
			runtime.Gosched()
		}
	}
	r.deployAs(t, "1", "", all)
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	if got := r.publisher.did(); len(got) != len(all)-1 || slices.Contains(got, "web99=a") {
		t.Errorf("published for %d hosts, want all %d but %s", len(got), len(all), last)
	}
}

// TestARolloutGoesWhileItsWindowIsOpen: it opens, closes in the middle of a wave, and opens
// again.
func TestARolloutGoesWhileItsWindowIsOpen(t *testing.T) {
	now := time.Date(2026, 11, 26, 11, 50, 0, 0, time.UTC)
	fleet := NewFleet(func() time.Time { return now })
	fleet.CaughtUp()
	r := newRunnerOf(fleet)
	r.now = fleet.now
	all := fleetOf(t, "a")
	later := func(d time.Duration, says ...string) {
		now = now.Add(d)
		for h := range all {
			fleet.Heard(h, "", now)
		}
		for _, name := range says {
			fleet.Apply(status(host(t, name), 1, proto.PhaseCommitted), now)
		}
		r.mustLook(t)
	}
	s, err := spec.Parse([]byte(`{"rollout": {"waves": [{"name": "web", "hosts": "web*", "maxInFlight": 1}],
		"windows": {"allow": ["12:00-12:30"], "overrun": "pause"}}}`), slices.Collect(maps.Keys(all)))
	if err != nil {
		t.Fatal(err)
	}
	later(0)
	if err := r.begin(t.Context(), revision(t, "1"), s, all, nil); err != nil {
		t.Fatal(err)
	}
	r.mustHavePublished(t, "before the window")
	w := fleet.Rollout("main").Hosts[0].Waits
	if w == nil || w.For != proto.ReasonOutsideWindow || !w.Until.Equal(now.Add(10*time.Minute)) {
		t.Errorf("the first host waits for %+v, want its window", w)
	}
	later(10 * time.Minute)
	r.mustHavePublished(t, "in the window", "web1=a")
	later(10*time.Minute, "web1")
	r.mustHavePublished(t, "in the window, still", "web2=a")
	later(20*time.Minute, "web2")
	r.mustHavePublished(t, "after it")
	later(23*time.Hour + 30*time.Minute)
	r.mustHavePublished(t, "the next day", "web3=a")
}

// TestWhatHoldsARolloutUpIsToldBriefly: a full disk is the problem of every host.
func TestWhatHoldsARolloutUpIsToldBriefly(t *testing.T) {
	r := newRunner()
	all := map[proto.HostName]proto.StorePath{}
	for i := range together {
		h := host(t, fmt.Sprint("web", i))
		all[h], r.publisher.fail[h] = storePath(t, "a"), syscall.ENOSPC
	}
	r.deployAs(t, "1", "", all)
	err := r.look(t)
	if !errors.Is(err, syscall.ENOSPC) || strings.Count(err.Error(), "\n") > 10 {
		t.Errorf("error = %v, want that of the disk, and not for every host", err)
	}
}

// TestRunnerSavesBeforeItPublishes: what was decided is durable before its first
// effect.
func TestRunnerSavesBeforeItPublishes(t *testing.T) {
	r := newRunner()
	web1 := host(t, "web1")
	r.publisher.fail[web1] = errors.New("no route to anywhere")
	if err := r.deploy(t, revision(t, "1"), map[proto.HostName]proto.StorePath{web1: storePath(t, "a")}); err != nil {
		t.Fatal(err)
	}
	saved := r.saver.saved
	if saved.Waves[0].Started.IsZero() {
		t.Error("web1 was published to before it was saved that its wave had started")
	}
	r.saver.err, r.publisher.fail = syscall.ENOSPC, map[proto.HostName]error{}
	r.rollout.Waves[0].Started, r.unsaved = saved.Created, true
	if err := r.round(t.Context()); !errors.Is(err, syscall.ENOSPC) || len(r.publisher.did()) != 0 {
		t.Errorf("published %v, %v; want nothing while nothing can be saved", r.publisher.did(), err)
	}
}

// slowPublisher says what it is asked for, and then waits for a word, or for its context to
// end.
type slowPublisher struct {
	*fakePublisher

	asked chan proto.StorePath
	word  chan struct{}
}

func (p slowPublisher) Publish(ctx context.Context, actor string, o publish.Order) (proto.Serial, error) {
	_, toplevel, err := cutRelease(string(o.Release.Payload))
	if err != nil {
		return 0, err
	}
	p.asked <- toplevel
	select {
	case <-p.word:
		return p.fakePublisher.Publish(ctx, actor, o)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// TestABeginEndsWithItsContextThoughARoundIsUnderWay, which goes on: what mends a revision
// must not wait until NATS has answered for the whole fleet.
func TestABeginEndsWithItsContextThoughARoundIsUnderWay(t *testing.T) {
	r := newRunner()
	one, two, a, b := revision(t, "1"), revision(t, "2"), fleetOf(t, "a"), fleetOf(t, "b")
	slow := slowPublisher{r.publisher, make(chan proto.StorePath, len(a)+len(b)), make(chan struct{})}
	r.releaser.publisher = slow
	service, stop := context.WithCancel(t.Context())
	defer stop()
	round := make(chan error, 1)
	go func() { round <- r.begin(service, one, spec.Spec{}, a, nil) }()
	for range a {
		<-slow.asked
	}
	work, superseded := context.WithCancel(t.Context())
	defer superseded()
	ended := make(chan error, 1)
	go func() { ended <- r.begin(work, two, spec.Spec{}, b, nil) }()
	for r.turn.TryLock() { // until the second one waits
		r.turn.Unlock()
		runtime.Gosched()
	}
	for range a {
		slow.word <- struct{}{}
	}
	for range b { // the round of the first one is about the second one now
		if got := <-slow.asked; got != storePath(t, "b") {
			t.Errorf("published %s, want what the second revision has", got)
		}
	}
	superseded()
	select {
	case err := <-ended:
		if err != nil || r.saver.saved.Revision != two {
			t.Errorf("error = %v, and revision %s is durable; want none, and the second", err, r.saver.saved.Revision)
		}
	case <-time.After(10 * time.Second):
		t.Error("it still waits for the round of another one")
	}
	stop()
	if err := <-round; err != nil {
		t.Error(err)
	}
}
