package controller

import (
	"context"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
	"kedge/proto/bus"
)

// canaryFirst is a fleet of which web1 goes first, and that halts at the first failure.
const canaryFirst = `{"rollout": {"waves": [{"name": "first", "hosts": "web1"}], "budget": {"failed": 0}}}`

// fleetOf returns toplevels called name for web1 to web3.
func fleetOf(t *testing.T, name string) map[proto.HostName]proto.StorePath {
	t.Helper()
	all := map[proto.HostName]proto.StorePath{}
	for _, h := range []string{"web1", "web2", "web3"} {
		all[host(t, h)] = storePath(t, name)
	}
	return all
}

// deployAs is deploy, with a spec.
func (r runnerTest) deployAs(t *testing.T, rev, text string, toplevels map[proto.HostName]proto.StorePath) {
	t.Helper()
	s, err := spec.Parse([]byte(text), slices.Collect(maps.Keys(toplevels)))
	if err != nil {
		t.Fatal(err)
	}
	for h := range toplevels {
		r.fleet.Heard(h, "", time.Now())
	}
	if err := r.begin(t.Context(), revision(t, rev), s, toplevels, nil); err != nil {
		t.Fatal(err)
	}
}

// follows is deployAs, with releases as the deployer signs them.
func (r runnerTest) follows(t *testing.T, rev, text string, toplevels map[proto.HostName]proto.StorePath) {
	t.Helper()
	s, err := spec.Parse([]byte(text), slices.Collect(maps.Keys(toplevels)))
	if err != nil {
		t.Fatal(err)
	}
	closures, _ := fakeClosures{}.Closures(t.Context(), slices.Collect(maps.Values(toplevels))...) // never fails
	signed, err := r.sign(revision(t, rev), toplevels, closures)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.begin(t.Context(), revision(t, rev), s, toplevels, signed); err != nil {
		t.Fatal(err)
	}
}

func TestHostsAskTheCachesNearThemFirst(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", `{"sites": {"eu": {"hosts": "web1", "caches": ["https://cache.eu.example"]}}}`, fleetOf(t, "a"))
	want := map[proto.HostName][]string{host(t, "web1"): {"https://cache.eu.example"}, host(t, "web2"): nil, host(t, "web3"): nil}
	if !maps.EqualFunc(r.publisher.near, want, slices.Equal) {
		t.Errorf("got %v, want %v", r.publisher.near, want)
	}
}

// says has a host report how the last thing that was published for it ended.
func (r runnerTest) says(t *testing.T, name string, phase proto.Phase) {
	t.Helper()
	v, _ := r.fleet.Host(host(t, name))
	r.fleet.Apply(status(v.Host.Host, v.Host.Want.Serial, phase), time.Now())
	r.mustLook(t)
}

func (r runnerTest) mustLook(t *testing.T) {
	t.Helper()
	if err := r.look(t); err != nil {
		t.Fatal(err)
	}
}

// mustHavePublished fails the test unless that is what was published since the last
// time.
func (r runnerTest) mustHavePublished(t *testing.T, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, r.publisher.did()); diff != "" {
		t.Errorf("%s, published (-want +got):\n%s", when, diff)
	}
	r.publisher.published = nil
}

// mustBe fails the test unless the rollout is in a state, also on disk.
func (r runnerTest) mustBe(t *testing.T, when string, want rollout.State) {
	t.Helper()
	if got := r.current().State; got != want || r.saver.saved.State != want {
		t.Errorf("%s: the rollout is %s, saved as %s, want %s", when, got, r.saver.saved.State, want)
	}
}

// asks has a person ask for an act.
func (r runnerTest) asks(t *testing.T, act proto.RolloutAct, to string) error {
	t.Helper()
	_, err := r.act(t.Context(), bus.Caller{Name: "ada"}, proto.RolloutActRequest{Act: act, To: to, Reason: "so"}, r.current().ID)
	return err
}

func (r runnerTest) must(t *testing.T, act proto.RolloutAct, to string) {
	t.Helper()
	if err := r.asks(t, act, to); err != nil {
		t.Fatalf("%s: %v", act, err)
	}
	r.mustLook(t)
}

// restarted returns a runner that has what was durable.
func (r runnerTest) restarted() runnerTest {
	again := newRunnerOf(r.fleet)
	again.publisher.former, again.holds = r.publisher.former, r.holds
	again.saver.saved, again.saver.past = r.saver.saved, r.saver.past
	again.resume(r.saver.saved, r.saver.past)
	return again
}

func TestRunnerGoesWaveByWave(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
	r.mustHavePublished(t, "first", "web1=a")
	if v, _ := r.fleet.Host(host(t, "web2")); v.Host.Waits == nil || v.Host.Waits.For != proto.ReasonEarlierWave {
		t.Errorf("web2 waits for %+v, want an earlier wave", v.Host.Waits)
	}
	r.says(t, "web1", proto.PhaseCommitted)
	r.mustHavePublished(t, "then", "web2=a", "web3=a")
	if v, _ := r.fleet.Host(host(t, "web2")); v.Host.Waits != nil {
		t.Errorf("web2 waits for %+v, want nothing", v.Host.Waits)
	}
	r.says(t, "web2", proto.PhaseCommitted)
	r.mustBe(t, "web3 missing", rollout.Running)
	r.says(t, "web3", proto.PhaseCommitted)
	r.mustBe(t, "in the end", rollout.Done)
}

func TestRunnerHaltsAndSaysWhy(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
	r.says(t, "web1", proto.PhaseRolledBack)
	r.mustHavePublished(t, "halted", "web1=a")
	r.mustBe(t, "web1 failed", rollout.Halted)
	view := r.fleet.Rollout("main").Rollout
	if !strings.Contains(view.Why, "wave first") || !strings.HasSuffix(view.Why, ": web1") {
		t.Errorf("why = %q, want the wave, the budget and the host", view.Why)
	}
	if len(*r.audits) != 1 || (*r.audits)[0].Act != "rollout-halt" || (*r.audits)[0].Actor != proto.ServiceName {
		t.Errorf("audit = %+v, want that it halted", *r.audits)
	}
	if v, _ := r.fleet.Host(host(t, "web3")); v.Host.Waits == nil || v.Host.Waits.For != proto.ReasonHalted {
		t.Errorf("web3 waits for %+v, want that it halted", v.Host.Waits)
	}

	again := r.restarted()
	again.mustLook(t)
	again.mustHavePublished(t, "after a restart")
	again.must(t, proto.RolloutActRetry, "")
	again.mustHavePublished(t, "tried again", "web1=a")
	again.says(t, "web1", proto.PhaseCommitted)
	again.mustHavePublished(t, "went well", "web2=a", "web3=a")
}

func TestRunnerStaysPausedOverARestart(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
	r.must(t, proto.RolloutActPause, "")
	r.mustHavePublished(t, "before", "web1=a")
	r.says(t, "web1", proto.PhaseCommitted)

	again := r.restarted()
	again.deployAs(t, "1", canaryFirst, fleetOf(t, "a")) // as the pipeline does when it starts
	again.mustHavePublished(t, "paused")
	if e := (*r.audits)[0]; e.Act != "rollout-pause" || e.Actor != "ada" || !strings.HasSuffix(e.Message, ": so") {
		t.Errorf("audit = %+v", e)
	}
	again.must(t, proto.RolloutActResume, "")
	again.mustHavePublished(t, "resumed", "web2=a", "web3=a")
}

// TestRunnerGoesOnWhereAWaitingHostDoesNotBuildAgain: a builder that does not answer after a
// restart is no reason to begin with the first wave.
func TestRunnerGoesOnWhereAWaitingHostDoesNotBuildAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		claims []string
		anew   bool
	}{
		"it follows the channel still": {[]string{"main"}, false},
		"it follows another":           {[]string{"testing"}, true},
		"two claim it":                 {[]string{"main", "testing"}, true},
	} {
		r := newRunner()
		all := fleetOf(t, "a")
		r.fleet.Claim("main", slices.Collect(maps.Keys(all)))
		r.deployAs(t, "1", canaryFirst, all)
		r.says(t, "web1", proto.PhaseCommitted)
		r.holds = &holds{what: heldBack{All: &hold{}}}
		r.deployAs(t, "2", canaryFirst, fleetOf(t, "b"))
		id := r.current().ID
		r.publisher.published = nil

		again, some := r.restarted(), fleetOf(t, "b")
		again.holds = &holds{}
		web3 := host(t, "web3")
		delete(some, web3)
		again.fleet.Claim("main", slices.Collect(maps.Keys(some)))
		for _, channel := range tt.claims {
			claimed := []proto.HostName{web3}
			if channel == "main" {
				claimed = slices.Collect(maps.Keys(all))
			}
			again.fleet.Claim(channel, claimed)
		}
		again.follows(t, "2", canaryFirst, some)
		if anew := again.current().ID != id; anew != tt.anew {
			t.Errorf("%s: begun anew: %t, want %t", name, anew, tt.anew)
		}
		again.says(t, "web1", proto.PhaseCommitted)
		want := []string{"web1=b", "web2=b"}
		if !tt.anew {
			want = append(want, "web3=b") // as it was built before
		}
		again.mustHavePublished(t, name, want...)
	}
}

func TestRunnerSupersedesInTheMiddleOfAWave(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
	first := r.current().ID
	r.deployAs(t, "2", canaryFirst, fleetOf(t, "b"))
	r.mustHavePublished(t, "the first host alone", "web1=a", "web1=b")
	if past := r.saver.past; len(past) != 1 || past[0].ID != first || past[0].State != rollout.Superseded {
		t.Errorf("remembered: %+v, want %s as superseded", past, first)
	}
	r.says(t, "web1", proto.PhaseCommitted)
	r.mustHavePublished(t, "the others", "web2=b", "web3=b")
}

// TestRunnerCrashesAnywhere: whenever the controller dies, and is started again, nobody
// is given anything twice, and everybody gets it.
func TestRunnerCrashesAnywhere(t *testing.T) {
	for _, applied := range []bool{false, true} {
		for at, crashed := 0, true; crashed; at++ {
			r := newRunner()
			crashed = false
			disk := &crashingSaver{memorySaver: r.saver, at: at, applied: applied}
			r.runner.saver = disk
			var published []string
			for step := 0; step < 4; step++ {
				var err error
				switch step {
				case 0:
					s, _ := spec.Parse([]byte(canaryFirst), slices.Collect(maps.Keys(fleetOf(t, "a"))))
					for h := range fleetOf(t, "a") {
						r.fleet.Heard(h, "", time.Now())
					}
					err = r.begin(t.Context(), revision(t, "1"), s, fleetOf(t, "a"), nil)
				default:
					name := host(t, []string{"web1", "web2", "web3"}[step-1])
					v, _ := r.fleet.Host(name)
					r.fleet.Apply(status(name, v.Host.Want.Serial, proto.PhaseCommitted), time.Now())
					err = r.look(t)
				}
				if disk.crashed || err != nil {
					crashed = true
					published = append(published, r.publisher.published...)
					again := r.restarted()
					if r = again; r.current().ID == "" { // nothing was durable: the revision is found again
						step = -1
						disk = &crashingSaver{memorySaver: r.saver, at: -1}
						continue
					}
					disk = &crashingSaver{memorySaver: r.saver, at: -1}
					r.mustLook(t)
				}
			}
			published = append(published, r.publisher.published...)
			slices.Sort(published)
			if diff := cmp.Diff([]string{"web1=a", "web2=a", "web3=a"}, published); diff != "" {
				t.Errorf("crash at %d, applied %t (-want +got):\n%s", at, applied, diff)
			}
			if got := r.current().State; got != rollout.Done {
				t.Errorf("crash at %d, applied %t: the rollout is %s", at, applied, got)
			}
		}
	}
}

// crashingSaver is a disk whose at-th call crashes, before its effect or after it.
type crashingSaver struct {
	*memorySaver
	calls, at        int
	applied, crashed bool
}

func (c *crashingSaver) Save(r rollout.Rollout) error {
	return c.do(func() error { return c.memorySaver.Save(r) })
}

func (c *crashingSaver) Retire(r rollout.Rollout, forgotten ...rollout.Rollout) error {
	return c.do(func() error { return c.memorySaver.Retire(r, forgotten...) })
}

func (c *crashingSaver) do(effect func() error) error {
	if c.calls++; c.calls-1 != c.at {
		return effect()
	}
	c.crashed = true
	if c.applied {
		_ = effect() // nobody hears of it
	}
	return syscall.EIO
}

func TestRunnerGoesWhenAWindowOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // at midnight, UTC
		r := newRunner()
		time.Sleep(10 * time.Second)
		r.deployAs(t, "a", `{"rollout": {"windows": {"allow": ["00:01-01:00"]}}}`, fleetOf(t, "a"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.run(ctx) }()
		requireState := func(want rollout.HostState) {
			t.Helper()
			if got := r.current().Hosts[host(t, "web1")].State; got != want {
				t.Errorf("at %s web1 is %s, want %s", time.Now().UTC().Format(time.TimeOnly), got, want)
			}
		}
		time.Sleep(49 * time.Second)
		requireState(rollout.Waiting)
		time.Sleep(2 * time.Second)
		requireState(rollout.Published)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
