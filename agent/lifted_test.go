package agent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// goThrough has the record go through phases, as its transaction would, now. It
// goes back for the reason.
func (w *world) goThrough(reason proto.Reason, phases ...proto.Phase) {
	w.t.Helper()
	d, err := w.files.Deployment()
	w.must(err)
	for _, p := range phases {
		step := deployment.Step{Phase: p, Time: time.Now()}
		if p == proto.PhaseRollingBack {
			step.Reason = reason
		}
		d, err = d.Advance(step)
		w.must(err)
	}
	w.must(w.files.Save(d))
	synctest.Wait()
}

// attempt returns which attempt the record is, once the agent has nothing to do; no
// time passes.
func (w *world) attempt() int {
	w.t.Helper()
	synctest.Wait()
	d, err := w.files.Deployment()
	w.must(err)
	return d.Attempt
}

func TestWhatIsLiftedRightAfterItWentBackIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.follow()
		w.assign(7, pathB)
		synctest.Wait()
		w.must(w.files.Quarantine(pathB, proto.ReasonUnitsFailed, time.Now()))
		w.goThrough(proto.ReasonUnitsFailed, proto.PhaseActivating, proto.PhaseRollingBack, proto.PhaseRolledBack)
		w.ring()
		if got := w.attempt(); got != 1 {
			t.Fatalf("attempt %d of what is in quarantine", got)
		}
		if _, err := a.Lift(t.Context(), control.LiftRequest{Toplevel: pathB, By: "ada"}); err != nil {
			t.Fatal(err)
		}
		if got := w.attempt(); got != 2 {
			t.Errorf("once it is lifted, it is attempt %d, want the second", got)
		}
	})
}

// What was given up is in no quarantine, and can be lifted nevertheless.
func TestWhatWasGivenUpCanBeLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.change(func() {
			w.fetch = func(context.Context, closure.FetchOrder) error {
				return &closure.Rejection{Reason: proto.ReasonNoAgent, Err: errors.New("it has none")}
			}
		})
		a := w.follow()
		w.assign(7, pathB)
		if got := w.attempt(); got != 1 {
			t.Fatalf("attempt %d", got)
		}
		time.Sleep(30 * time.Minute)
		if got := w.attempt(); got != 1 {
			t.Fatalf("attempt %d of what is given up", got)
		}
		if lifted, err := a.Lift(t.Context(), control.LiftRequest{Toplevel: pathC, By: "ada"}); err != nil || len(lifted) > 0 {
			t.Errorf("another system: lifted %+v, %v", lifted, err)
		}
		lifted, err := a.Lift(t.Context(), control.LiftRequest{All: true, By: "ada"})
		if err != nil || len(lifted) != 1 || lifted[0].Toplevel != pathB || lifted[0].Reason != proto.ReasonNoAgent {
			t.Errorf("lifted %+v, %v", lifted, err)
		}
		if got := w.attempt(); got != 2 {
			t.Errorf("once it is lifted, it is attempt %d, want the second", got)
		}
	})
}

// threeTimes has an agent try a system three times, each of which is inconclusive, and
// lets 10 s pass.
func (w *world) threeTimes() {
	w.t.Helper()
	w.follow()
	w.assign(7, pathB)
	for n := 1; n <= 3; n++ {
		if got := w.attempt(); got != n {
			w.t.Fatalf("attempt %d, want %d", got, n)
		}
		w.goThrough(proto.ReasonNoContact, proto.PhaseActivating, proto.PhaseRollingBack, proto.PhaseInconclusive)
		if n < 3 {
			time.Sleep(5 * time.Minute)
		}
	}
	time.Sleep(10 * time.Second)
}

func TestWhoAsksTooSoonIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.threeTimes()
		w.ring()
		if got := w.attempt(); got != 3 {
			t.Errorf("attempt %d after 10 s, want a pause", got)
		}
		time.Sleep(21 * time.Second)
		if got := w.attempt(); got != 4 {
			t.Errorf("attempt %d half a minute after the third, want the fourth: somebody had asked", got)
		}
	})
}

func TestWhatIsIssuedAnewWasAskedForByNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.threeTimes()
		w.assign(7, pathB)
		time.Sleep(21 * time.Second)
		if got := w.attempt(); got != 3 {
			t.Errorf("attempt %d half a minute after the third, want the pause to go on", got)
		}
		w.ring()
		if got := w.attempt(); got != 4 {
			t.Errorf("attempt %d once somebody asked, want the fourth", got)
		}
	})
}
