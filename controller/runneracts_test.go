package controller

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kedge/controller/internal/rollout"
	"kedge/proto"
	"kedge/proto/bus"
)

func TestRunnerHolds(t *testing.T) {
	r := newRunner()
	file, err := openHolds(t.TempDir()+"/holds.json", alone)
	if err != nil {
		t.Fatal(err)
	}
	r.holds = file
	web2 := host(t, "web2")
	if err := r.holds.change(func(b *heldBack) { b.Hosts[web2] = hold{Reason: "being debugged", By: "ada"} }); err != nil {
		t.Fatal(err)
	}
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	r.mustHavePublished(t, "held", "web1=a", "web3=a")
	if v, _ := r.fleet.Host(web2); v.Host.Waits == nil || v.Host.Waits.For != proto.ReasonHeld || !strings.Contains(v.Host.Waits.Message, "being debugged (ada)") {
		t.Errorf("web2 waits for %+v, want its release", v.Host.Waits)
	}
	r.says(t, "web1", proto.PhaseCommitted)
	r.says(t, "web3", proto.PhaseCommitted)
	r.mustBe(t, "without web2", rollout.Done)

	again := r.restarted()
	if again.holds, err = openHolds(file.file.Path, alone); err != nil {
		t.Fatal(err)
	}
	again.deployAs(t, "1", "", fleetOf(t, "a"))
	again.mustHavePublished(t, "held over a restart")
	if err := again.holds.change(func(b *heldBack) { delete(b.Hosts, web2) }); err != nil {
		t.Fatal(err)
	}
	again.mustLook(t)
	again.mustHavePublished(t, "released", "web2=a")
	again.says(t, "web2", proto.PhaseCommitted)
	again.mustBe(t, "with web2", rollout.Done)
	again.mustLook(t)
	again.mustHavePublished(t, "nothing is left")
}

func TestRunnerFreezes(t *testing.T) {
	r := newRunner()
	r.holds = &holds{what: heldBack{Channels: map[string]hold{"main": {Reason: "holidays", By: "eva"}}}}
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	r.mustHavePublished(t, "frozen")
	if v, _ := r.fleet.Host(host(t, "web2")); v.Host.Waits == nil || v.Host.Waits.For != proto.ReasonFrozen {
		t.Errorf("web2 waits for %+v, want a thaw", v.Host.Waits)
	}
	r.holds = &holds{what: heldBack{Channels: map[string]hold{"testing": {}}}}
	r.mustLook(t)
	r.mustHavePublished(t, "only another channel is frozen", "web1=a", "web2=a", "web3=a")
	r.deployAs(t, "2", "", fleetOf(t, "b"))
	r.publisher.published = nil
	r.holds = &holds{what: heldBack{All: &hold{}}}
	r.must(t, proto.RolloutActRevert, "")
	r.mustHavePublished(t, "what goes back is not held up", "web1=a", "web2=a", "web3=a")
}

func TestRunnerHasItsOwnHostGoLast(t *testing.T) {
	r := newRunner()
	r.own = host(t, "web1")
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	r.mustHavePublished(t, "the others", "web2=a", "web3=a")
	r.says(t, "web2", proto.PhaseCommitted)
	r.mustHavePublished(t, "not all of them")
	r.says(t, "web3", proto.PhaseCommitted)
	r.mustHavePublished(t, "in the end", "web1=a")
}

func TestRunnerTakesJoiners(t *testing.T) {
	r := newRunner()
	all := fleetOf(t, "a")
	some := maps.Clone(all)
	delete(some, host(t, "web3")) // it does not build
	r.deployAs(t, "1", canaryFirst, some)
	first := r.current().ID
	r.deployAs(t, "1", canaryFirst, all)
	r.mustHavePublished(t, "before its wave", "web1=a")
	if got := r.current(); got.ID != first || len(got.Hosts) != 3 {
		t.Errorf("rollout = %s with %d hosts, want %s with three", got.ID, len(got.Hosts), first)
	}
	r.says(t, "web1", proto.PhaseCommitted)
	r.mustHavePublished(t, "then", "web2=a", "web3=a")
	r.says(t, "web2", proto.PhaseCommitted)
	r.says(t, "web3", proto.PhaseCommitted)

	all[host(t, "web4")] = storePath(t, "a")
	r.deployAs(t, "1", canaryFirst, all)
	r.mustHavePublished(t, "too late for the first rollout", "web4=a")
	if got := r.current(); got.ID == first || got.Revision != revision(t, "1") {
		t.Errorf("rollout = %s, want another one of the same revision", got.ID)
	}
	r.must(t, proto.RolloutActAbort, "")
	all[host(t, "web5")] = storePath(t, "a")
	r.deployAs(t, "1", canaryFirst, all)
	r.mustHavePublished(t, "aborted")
	if v, _ := r.fleet.Host(host(t, "web5")); v.Host.Problem == nil || v.Host.Problem.Reason != proto.ReasonAborted || !strings.Contains(v.Host.Problem.Message, "aborted") {
		t.Errorf("problem of web5 = %+v, want that nobody joins any more", v.Host.Problem)
	}
}

// TestActsAreTakenWhereTheAdviceSaysSo: an act is refused in the wrong state, with what
// can be done instead; and that can be done. What is so already is not refused.
func TestActsAreTakenWhereTheAdviceSaysSo(t *testing.T) {
	verbs := map[proto.RolloutAct]string{
		proto.RolloutActPause: "paused", proto.RolloutActResume: "resumed", proto.RolloutActAbort: "aborted",
		proto.RolloutActRetry: "retried", proto.RolloutActRevert: "reverted",
	}
	already := map[proto.RolloutAct][]rollout.State{
		proto.RolloutActPause: {rollout.Paused}, proto.RolloutActResume: {rollout.Running},
		proto.RolloutActAbort: {rollout.Aborted}, proto.RolloutActRevert: {rollout.Reverting, rollout.Reverted},
	}
	for state, reach := range map[rollout.State]func(*testing.T, runnerTest){
		rollout.Running: func(*testing.T, runnerTest) {},
		rollout.Paused:  func(t *testing.T, r runnerTest) { r.must(t, proto.RolloutActPause, "") },
		rollout.Halted:  func(t *testing.T, r runnerTest) { r.says(t, "web1", proto.PhaseRolledBack) },
		rollout.Aborted: func(t *testing.T, r runnerTest) { r.must(t, proto.RolloutActAbort, "") },
		rollout.Reverting: func(t *testing.T, r runnerTest) {
			r.must(t, proto.RolloutActRevert, "")
		},
		rollout.Reverted: func(t *testing.T, r runnerTest) {
			r.must(t, proto.RolloutActRevert, "")
			r.says(t, "web1", proto.PhaseCommitted)
		},
		rollout.Done: func(t *testing.T, r runnerTest) {
			for _, h := range []string{"web1", "web2", "web3"} {
				r.says(t, h, proto.PhaseCommitted)
			}
		},
	} {
		for act, verb := range verbs {
			r := newRunner()
			r.deployAs(t, "1", "", fleetOf(t, "a"))
			r.deployAs(t, "2", canaryFirst, fleetOf(t, "b"))
			reach(t, r)
			if got := r.current().State; got != state {
				t.Fatalf("%s is not reached, but %s", state, got)
			}
			entered := r.current().Entered
			reply, err := r.act(t.Context(), bus.Caller{Name: "eva"}, proto.RolloutActRequest{Act: act}, r.current().ID)
			again := slices.Contains(already[act], state)
			if is := r.current(); reply.Again != again || again && (is.State != state || is.Entered != entered) {
				t.Errorf("%s a rollout that is %s: %+v, and it is %s by %+v", act, state, reply, is.State, is.Entered)
			}
			said := strings.Contains(advice(state), verb) || again
			if refusal, ok := errors.AsType[*bus.APIError](err); (err == nil) != said || err != nil && (!ok || refusal.Code != bus.CodeRefused || !strings.Contains(refusal.Message, advice(state))) {
				t.Errorf("%s a rollout that is %s: error = %v; the advice is %q", act, state, err, advice(state))
			}
		}
	}
}

// TestWhoPromotesSaysWhat: what a rollout waits for is shown, and whoever sends that back
// promotes nothing else.
func TestWhoPromotesSaysWhat(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	r.deployAs(t, "2", `{"rollout": {"waves": [{"name": "first", "hosts": "web1", "soak": "1h"}, {"name": "second", "hosts": "web2", "approval": true}]}}`, fleetOf(t, "b"))
	r.says(t, "web1", proto.PhaseCommitted)
	soak := r.fleet.Rollout("main").Rollout.Promotes
	if want := (proto.RolloutPromotion{Ends: proto.RolloutPauseSoak}); soak != want {
		t.Fatalf("while the first wave soaks, what may be promoted is %+v, want %+v", soak, want)
	}
	promote := func(name string) (proto.RolloutView, error) {
		req := proto.RolloutActRequest{Act: proto.RolloutActPromote, Promotes: &soak}
		reply, err := r.act(t.Context(), bus.Caller{Name: name}, req, r.current().ID)
		if err != nil {
			return proto.RolloutView{}, err
		}
		return *reply.Rollout, nil
	}
	shown, err := promote("ada")
	if want := (proto.RolloutPromotion{Wave: 1, Ends: proto.RolloutPauseApproval}); err != nil || shown.Promotes != want {
		t.Errorf("after that, what may be promoted is %+v, %v; want %+v", shown.Promotes, err, want)
	}
	r.publisher.published = nil
	_, err = promote("eva")
	if refusal, ok := errors.AsType[*bus.APIError](err); !ok || refusal.Code != bus.CodeConflict || !strings.Contains(refusal.Message, "the approval of wave second") {
		t.Errorf("the same again: error = %v, want a conflict with the approval of wave second", err)
	}
	r.mustLook(t)
	r.mustHavePublished(t, "nobody approved")
	if len(*r.audits) != 1 {
		t.Errorf("audit = %+v, want the first promotion alone", *r.audits)
	}
	soak = r.fleet.Rollout("main").Rollout.Promotes
	if _, err := promote("eva"); err != nil {
		t.Fatal(err)
	}
	r.mustLook(t)
	r.mustHavePublished(t, "approved", "web2=b")
}

func TestNobodysSilenceCountsWithoutNATS(t *testing.T) {
	started := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	now, since := started.Add(2*time.Hour), started.Add(time.Hour)
	for _, tt := range []struct {
		name      string
		since     time.Time
		connected bool
		want      time.Time
	}{
		{"connected before the controller looked", started.Add(-time.Hour), true, started},
		{"connected again since", since, true, since},
		{"not connected", since, false, now},
	} {
		if got := listening(started, now, tt.since, tt.connected); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestActsThatAreNotDurableAreNone(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
	r.saver.err = syscall.ENOSPC
	if err := r.asks(t, proto.RolloutActPause, ""); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error = %v, want that of the disk", err)
	}
	r.saver.err = nil
	r.mustBe(t, "after an act that failed", rollout.Running)
	if len(*r.audits) != 0 {
		t.Errorf("audit = %+v, want nothing", *r.audits)
	}
	if err := r.asks(t, proto.RolloutActPause, ""); err != nil {
		t.Fatal(err)
	}
	r.mustBe(t, "as soon as it is answered", rollout.Paused)
}

// TestWhatIsShownIsOneMoment: a state that nobody acted on yet is not shown beside what
// would come of it.
func TestWhatIsShownIsOneMoment(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
	r.fleet.Apply(status(host(t, "web1"), 1, proto.PhaseRolledBack), time.Now())
	r.lock()
	r.show()
	r.unlock()
	for _, h := range r.fleet.Rollout("main").Hosts {
		if h.Host == host(t, "web2") && h.Waits.For != proto.ReasonEarlierWave {
			t.Errorf("web2 waits for %+v before the rollout halted", h.Waits)
		}
	}
	r.mustLook(t)
	r.mustBe(t, "then", rollout.Halted)
}

func TestRunnerForgetsTheOldestRollouts(t *testing.T) {
	r := newRunner()
	for i := range keptRollouts + 3 {
		r.deployAs(t, fmt.Sprint(i%2), "", fleetOf(t, "a"))
	}
	if len(r.saver.past) != keptRollouts || len(r.all()) != keptRollouts+1 || r.saver.past[0].ID != r.all()[1].ID {
		t.Errorf("%d are remembered on the disk and %d listed with the current one; want the same %d, and that", len(r.saver.past), len(r.all()), keptRollouts)
	}
}
