package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/rollout"
	"kedge/proto"
)

func TestRunnerRevertsToWhatHostsHad(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	for _, h := range []string{"web1", "web2", "web3"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.mustHavePublished(t, "the first revision", "web1=a", "web2=a", "web3=a")
	r.publisher.former = map[proto.StorePath]publish.Former{storePath(t, "a"): {Toplevel: storePath(t, "a"), Revision: revision(t, "1"), Closure: proto.DigestOf(nil)}}
	r.deployAs(t, "2", canaryFirst, fleetOf(t, "b"))
	r.says(t, "web1", proto.PhaseCommitted)
	r.mustHavePublished(t, "the second", "web1=b", "web2=b", "web3=b")
	r.publisher.withdrawn = map[proto.HostName]error{host(t, "web3"): publish.ErrWithdrawn}
	r.must(t, proto.RolloutActRevert, "")
	r.mustHavePublished(t, "back", "web1=a", "web2=a")
	if v, _ := r.fleet.Host(host(t, "web3")); v.Host.Problem == nil || v.Host.Problem.Reason != proto.ReasonWithdrawn {
		t.Errorf("problem of web3 = %+v, want that it was withdrawn", v.Host.Problem)
	}
	for _, h := range []string{"web1", "web2"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.mustBe(t, "in the end", rollout.Reverted)

	again := r.restarted()
	again.deployAs(t, "2", canaryFirst, fleetOf(t, "b"))
	again.mustHavePublished(t, "the revision that nobody wants")
	again.deployAs(t, "3", canaryFirst, fleetOf(t, "b"))
	again.mustHavePublished(t, "the next one", "web1=b")
}

// TestWhoDidNotBuildInBetweenGoesBackAllTheSame: what a host had before a revision that it
// failed with is not forgotten because the next one does not build for it.
func TestWhoDidNotBuildInBetweenGoesBackAllTheSame(t *testing.T) {
	web1, web3 := host(t, "web1"), host(t, "web3")
	deploy := func(r runnerTest, rev string, h proto.HostName) {
		r.deployAs(t, rev, "", map[proto.HostName]proto.StorePath{h: storePath(t, rev)})
	}
	for name, tt := range map[string]struct {
		meanwhile func(r runnerTest)
		want      []string
	}{
		"it failed": {func(runnerTest) {}, []string{"web3=a"}},
		"it was held since": {func(r runnerTest) {
			r.holds.what = heldBack{Hosts: map[proto.HostName]hold{web3: {}}}
			deploy(r, "c", web3)
			r.holds.what = heldBack{}
		}, []string{"web3=a"}},
		"it failed with something else since, of others": {func(r runnerTest) {
			r.fleet.Want(web3, proto.Target{Serial: 9, Toplevel: storePath(t, "mine")})
			r.says(t, "web3", proto.PhaseRolledBack)
		}, nil},
	} {
		r := newRunner()
		deploy(r, "a", web3)
		r.says(t, "web3", proto.PhaseCommitted)
		deploy(r, "b", web3)
		r.says(t, "web3", proto.PhaseRolledBack)
		tt.meanwhile(r)
		deploy(r, "d", web1) // web3 does not build
		r.says(t, "web1", proto.PhaseCommitted)
		deploy(r, "e", web3)
		r.publisher.published = nil
		r.must(t, proto.RolloutActRevert, "")
		r.mustHavePublished(t, name, tt.want...)
	}
}

// TestWhoWasPublishedForBeforeACrashGoesBack, also if a person asks for that before
// anything else is done.
func TestWhoWasPublishedForBeforeACrashGoesBack(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	for _, h := range []string{"web1", "web2", "web3"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.publisher.begins = func() { r.saver.err = syscall.ENOSPC } // and there it crashes
	r.deployAs(t, "2", canaryFirst, fleetOf(t, "b"))
	r.saver.err = nil
	again := r.restarted()
	again.must(t, proto.RolloutActRevert, "")
	again.mustHavePublished(t, "back", "web1=a")
}

// without are closures, but for one that is gone.
type without struct {
	fakeClosures

	gone proto.StorePath
}

func (w without) Closures(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	if slices.Contains(toplevels, w.gone) {
		return nil, fmt.Errorf("closure of %s: %w", w.gone, cache.ErrGone)
	}
	return w.fakeClosures.Closures(ctx, toplevels...)
}

func (w without) Provide(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	return w.Closures(ctx, toplevels...)
}

func TestRunnerGivesNobodyBackWhatIsGone(t *testing.T) {
	r := newRunner()
	gone := storePath(t, "gone")
	had := map[proto.HostName]proto.StorePath{host(t, "web1"): storePath(t, "a"), host(t, "web2"): gone}
	r.deployAs(t, "1", "", had)
	for _, h := range []string{"web1", "web2"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.deployAs(t, "2", "", map[proto.HostName]proto.StorePath{host(t, "web1"): storePath(t, "b"), host(t, "web2"): storePath(t, "b")})
	r.publisher.published = nil
	r.closures = without{gone: gone}
	r.must(t, proto.RolloutActRevert, "")
	r.mustHavePublished(t, "back", "web1=a")
	if v, _ := r.fleet.Host(host(t, "web2")); v.Host.Problem == nil || v.Host.Problem.Reason != proto.ReasonGone {
		t.Errorf("problem of web2 = %+v, want that what it had is gone", v.Host.Problem)
	}
	r.says(t, "web1", proto.PhaseCommitted)
	r.mustBe(t, "in the end", rollout.Reverted)
}

func TestRunnerWaitsForWhatIsBuiltAgain(t *testing.T) {
	r := newRunner()
	b := storePath(t, "b")
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	r.holds = &holds{what: heldBack{All: &hold{}}}
	r.deployAs(t, "2", "", fleetOf(t, "b"))
	r.holds, r.closures = &holds{}, without{gone: b}
	r.forgetReleases() // as after a restart
	r.publisher.published = nil
	if err := r.look(t); !errors.Is(err, cache.ErrGone) {
		t.Errorf("error = %v, want that it is gone", err)
	}
	r.closures = fakeClosures{}
	if err := r.look(t); err != nil {
		t.Fatal(err)
	}
	r.mustHavePublished(t, "once it is built again", "web1=b", "web2=b", "web3=b")
}

func TestNobodyWaitsForWhatIsGoneAndDoesNotBuildAgain(t *testing.T) {
	r := newRunner()
	all, b := fleetOf(t, "a"), storePath(t, "b")
	all[host(t, "web3")] = b
	r.fleet.Claim("main", slices.Collect(maps.Keys(all)))
	r.deployAs(t, "1", canaryFirst, all)
	r.mustHavePublished(t, "first", "web1=a")
	again := r.restarted()
	again.closures = without{gone: b}
	delete(all, host(t, "web3"))
	again.follows(t, "1", canaryFirst, all)
	again.says(t, "web1", proto.PhaseCommitted)
	again.mustHavePublished(t, "then", "web2=a")
	if v, _ := again.fleet.Host(host(t, "web3")); v.Host.Problem == nil || v.Host.Problem.Reason != proto.ReasonGone {
		t.Errorf("problem of web3 = %+v, want that it is gone", v.Host.Problem)
	}
	again.says(t, "web2", proto.PhaseCommitted)
	again.mustBe(t, "in the end", rollout.Done)
	all[host(t, "web3")], again.closures = b, fakeClosures{}
	again.follows(t, "1", canaryFirst, all)
	again.mustLook(t)
	again.mustHavePublished(t, "once it builds", "web3=b")
}

// TestWhoWaitsForWhatIsGoneGetsBackWhatIsNot: a host that failed, and for which what it is
// to try again is gone, goes back with the others.
func TestWhoWaitsForWhatIsGoneGetsBackWhatIsNot(t *testing.T) {
	r := newRunner()
	r.fleet.Claim("main", slices.Collect(maps.Keys(fleetOf(t, "a"))))
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	for _, h := range []string{"web1", "web2", "web3"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.deployAs(t, "2", canaryFirst, fleetOf(t, "b"))
	r.says(t, "web1", proto.PhaseRolledBack)
	r.mustBe(t, "web1 failed", rollout.Halted)
	r.closures = without{gone: storePath(t, "b")}
	r.follows(t, "2", "", map[proto.HostName]proto.StorePath{})
	r.publisher.published = nil
	r.must(t, proto.RolloutActRetry, "")
	r.mustHavePublished(t, "what is gone")
	r.must(t, proto.RolloutActRevert, "")
	r.mustHavePublished(t, "back", "web1=a")
}

// TestWhatWasWithdrawnBeforeItWentOutStaysSoAfterARestart: then it would be signed anew,
// as a release that nobody withdrew.
func TestWhatWasWithdrawnBeforeItWentOutStaysSoAfterARestart(t *testing.T) {
	r := newRunner()
	web3 := host(t, "web3")
	r.publisher.fail[web3] = publish.ErrWithdrawn
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	r.mustHavePublished(t, "what was not withdrawn", "web1=a", "web2=a")
	for _, h := range []string{"web1", "web2"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.mustBe(t, "without web3", rollout.Done)

	again := r.restarted()
	again.mustLook(t)
	again.deployAs(t, "1", "", fleetOf(t, "a"))
	again.mustHavePublished(t, "after a restart")
	if now := again.current(); now.ID != r.current().ID || !strings.Contains(now.Hosts[web3].Refused, "withdrawn") {
		t.Errorf("rollout %s, web3 %+v; want %s, and that it is refused", now.ID, now.Hosts[web3], r.current().ID)
	}
	again.deployAs(t, "2", "", fleetOf(t, "b"))
	again.mustHavePublished(t, "the next revision", "web1=b", "web2=b", "web3=b")
}

// TestWhatWasWithdrawnGoesOutInNoOtherRollout of its revision: not with those who were
// held until then, nor when a person goes back to it.
func TestWhatWasWithdrawnGoesOutInNoOtherRollout(t *testing.T) {
	r := newRunner()
	web2, web3 := host(t, "web2"), host(t, "web3")
	r.publisher.fail[web3] = publish.ErrWithdrawn
	r.holds = &holds{what: heldBack{Hosts: map[proto.HostName]hold{web2: {}}}}
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	r.says(t, "web1", proto.PhaseCommitted)
	r.mustBe(t, "without web2 and web3", rollout.Done)
	r.publisher.published = nil

	delete(r.publisher.fail, web3) // what would be signed for it now is another release
	r.holds = &holds{}
	r.mustLook(t)
	r.mustHavePublished(t, "once web2 is released", "web2=a")
	r.deployAs(t, "2", "", fleetOf(t, "b"))
	r.publisher.published = nil
	r.must(t, proto.RolloutActRevert, revision(t, "1").String())
	r.mustHavePublished(t, "back", "web1=a", "web2=a")
}

func TestRunnerGoesBackToAnEarlierRevision(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	r.deployAs(t, "2", "", fleetOf(t, "b"))
	r.deployAs(t, "3", "", fleetOf(t, "c"))
	r.publisher.published = nil
	first := r.saver.past[1]
	for _, wrong := range []string{"nobody", "fffffff", "1"} {
		if err := r.asks(t, proto.RolloutActRevert, wrong); err == nil || !strings.Contains(err.Error(), "kedge rollout list") {
			t.Errorf("to %q: error = %v, want one that says where to look", wrong, err)
		}
	}
	r.holds = &holds{what: heldBack{All: &hold{}}} // what goes back is not frozen
	r.must(t, proto.RolloutActRevert, first.Revision.Short())
	r.holds = &holds{}
	r.mustHavePublished(t, "back", "web1=a", "web2=a", "web3=a")
	if got := r.current(); got.Revision != first.Revision || got.Instead != revision(t, "3") || got.Entered.By != "ada" {
		t.Errorf("rollout = %+v, want that of %s instead of 3, by ada", got, first.Revision)
	}
	if v := r.fleet.Rollout("main").Rollout; v.By != "ada" || v.Why != "so" {
		t.Errorf("view = %+v, want who did it, and why", v)
	}

	again := r.restarted()
	again.deployAs(t, "3", "", fleetOf(t, "c"))
	again.mustHavePublished(t, "the revision that ada went back from")
	for _, h := range []string{"web1", "web2", "web3"} {
		again.says(t, h, proto.PhaseCommitted)
	}
	if err := again.asks(t, proto.RolloutActRevert, first.ID); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("once more: error = %v, want that everybody is there", err)
	}
	again.must(t, proto.RolloutActRevert, revision(t, "3").String())
	again.mustHavePublished(t, "forward again", "web1=c", "web2=c", "web3=c")
	four := fleetOf(t, "c")
	four[host(t, "web4")] = storePath(t, "c")
	again.deployAs(t, "3", "", four)
	again.mustHavePublished(t, "one that joins the revision that ada went back to", "web4=c")
	again.deployAs(t, "4", "", fleetOf(t, "d"))
	again.mustHavePublished(t, "the next one", "web1=d", "web2=d", "web3=d")
}

// storeOnly is a cache that lacks everything and does not take what is broken; the store
// has all but what is gone.
type storeOnly struct {
	without

	broken proto.StorePath

	mu       sync.Mutex // guards what follows
	rooted   []string
	provided []string
	bounded  bool
}

func (s *storeOnly) Root(h proto.HostName, toplevel proto.StorePath) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooted = append(s.rooted, h.String()+"="+toplevel.Base()[33:])
	return nil
}

func (s *storeOnly) Provide(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, s.bounded = ctx.Deadline()
	if slices.Contains(toplevels, s.broken) {
		return nil, fmt.Errorf("copy into the cache: %w", syscall.ENOSPC)
	}
	closures, err := s.Closures(ctx, toplevels...)
	for p := range closures {
		s.provided = append(s.provided, p.Base()[33:])
	}
	return closures, err
}

// TestWhatOnlyTheStoreHasIsMadeFetchableBeforeHostsGoBackToIt: they need not have it any
// more. What cannot be is its host's problem.
func TestWhatOnlyTheStoreHasIsMadeFetchableBeforeHostsGoBackToIt(t *testing.T) {
	r := newRunner()
	web2, web3 := host(t, "web2"), host(t, "web3")
	r.deployAs(t, "1", "", map[proto.HostName]proto.StorePath{host(t, "web1"): storePath(t, "a"), web2: storePath(t, "gone"), web3: storePath(t, "broken")})
	r.deployAs(t, "2", "", fleetOf(t, "b"))
	r.publisher.published = nil
	store := &storeOnly{without: without{gone: storePath(t, "gone")}, broken: storePath(t, "broken")}
	r.closures, r.roots = store, store
	if err := r.asks(t, proto.RolloutActRevert, revision(t, "1").String()); err != nil {
		t.Fatal(err)
	}
	if err := r.look(t); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error = %v, want that of the cache", err)
	}
	r.mustHavePublished(t, "back", "web1=a")
	if !slices.Contains(store.rooted, "web1=a") || !slices.Equal(store.provided, []string{"a"}) || !store.bounded {
		t.Errorf("rooted %v, made fetchable %v, bounded: %t; want a for web1, in bounded time", store.rooted, store.provided, store.bounded)
	}
	for h, want := range map[proto.HostName]proto.Reason{web2: proto.ReasonGone, web3: proto.ReasonDiskFull} {
		if v, _ := r.fleet.Host(h); v.Host.Problem == nil || v.Host.Problem.Reason != want {
			t.Errorf("problem of %s = %+v, want %q", h, v.Host.Problem, want)
		}
	}
	store.broken = proto.StorePath{}
	r.mustLook(t)
	r.mustHavePublished(t, "once the cache has room", "web3=broken")
}

// TestWhatHostsHadBeforeIsNotSignedAsOurs: others may have built it.
func TestWhatHostsHadBeforeIsNotSignedAsOurs(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	r.deployAs(t, "2", "", fleetOf(t, "b"))
	r.publisher.published = nil
	store := &storeOnly{}
	r.closures, r.roots = store, store
	r.must(t, proto.RolloutActRevert, "")
	r.mustHavePublished(t, "back", "web1=a", "web2=a", "web3=a")
	if len(store.provided) > 0 {
		t.Errorf("signed %v", store.provided)
	}
}
