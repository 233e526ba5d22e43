package agent_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// Two controllers, each of which wants another system, take turns.
func TestAHostThatIsAskedInTurnComesToRest(t *testing.T) {
	w := newWorld(t)
	a, stop := w.startAgent()
	serial := proto.Serial(6)
	ask := func(toplevel proto.StorePath) proto.Serial {
		serial++
		w.assign(serial, toplevel)
		return serial
	}
	deployed := func(serial proto.Serial) {
		t.Helper()
		var d deployment.Deployment
		w.await("the deployment", func() bool {
			i := slices.IndexFunc(w.ensured, func(e deployment.Deployment) bool { return e.Serial == serial })
			if i >= 0 {
				d = w.ensured[i]
			}
			return i >= 0
		})
		w.commit(d)
		w.awaitStatus("the commit", func(s proto.Status) bool {
			return s.Deployment.Serial == serial && condition(s, proto.ConditionReady).Status == proto.StatusTrue
		})
	}
	const most = 6 // of each system
	for range most {
		deployed(ask(pathB))
		deployed(ask(pathA))
	}
	ask(pathB)
	s := w.awaitStatus("the loop to be seen", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonLooping
	})
	if c := condition(s, proto.ConditionReady); c.Status != proto.StatusFalse || !strings.Contains(c.Message, "in turn") {
		t.Errorf("ready is %+v, want it false, with what to look for", c)
	}
	w.await("it to be told", func() bool {
		return slices.ContainsFunc(w.events, func(e proto.Event) bool { return e.Reason == proto.ReasonLooping && e.Toplevel == pathB })
	})

	// Another system is no part of it.
	deployed(ask(pathC))

	// Somebody lifts it: for one more.
	last := ask(pathB)
	w.awaitStatus("the loop again", func(s proto.Status) bool {
		return s.Serial == last && condition(s, proto.ConditionReady).Reason == proto.ReasonLooping
	})
	if lifted, err := a.Lift(t.Context(), control.LiftRequest{Toplevel: pathB, By: "ada"}); err != nil || len(lifted) != 1 {
		t.Fatalf("Lift = %+v, %v", lifted, err)
	}
	deployed(last)
	if lifted, err := a.Lift(t.Context(), control.LiftRequest{All: true, By: "ada"}); err != nil || len(lifted) != 2 {
		t.Fatalf("Lift = %+v, %v, want both systems, as they loop", lifted, err)
	}

	// An agent that is started again finds nothing new in the history.
	stop()
	w.start()
	w.awaitStatus("the host as it was", func(s proto.Status) bool { return condition(s, proto.ConditionReady).Status == proto.StatusTrue })
	if all, err := w.files.Quarantines(time.Now()); err != nil || len(all) > 0 {
		t.Errorf("quarantined are %+v, %v, want nothing: it was lifted", all, err)
	}
}

// A host that does not go down, whoever asks, is not asked for ever.
func TestAHostThatDoesNotGoDownComesToRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.configure = func(c *agent.Config) { c.Policy.Normal = deployment.WayReboot }
		a := w.follow()
		w.assign(7, pathB)
		synctest.Wait()
		for n := 1; n <= 3; n++ {
			d, err := w.files.Deployment()
			if err != nil || d.Attempt != n || !d.Fetched() {
				t.Fatalf("attempt %d is %+v, %v", n, d, err)
			}
			w.goThrough(proto.ReasonRebootFailed, proto.PhaseStaging, proto.PhaseStaged, proto.PhaseArmed, proto.PhaseRollingBack, proto.PhaseInconclusive)
			time.Sleep(5 * time.Minute)
		}
		c := condition(a.Status(), proto.ConditionReady)
		if c.Status != proto.StatusFalse || c.Reason != proto.ReasonRebootFailed || !strings.Contains(c.Message, "kedge-agent lift") {
			t.Errorf("ready is %+v", c)
		}
		if d, err := w.files.Deployment(); err != nil || d.Attempt != 3 {
			t.Errorf("then came attempt %d (%v)", d.Attempt, err)
		}
		if lifted, err := a.Lift(t.Context(), control.LiftRequest{All: true, By: "ada"}); err != nil || len(lifted) != 1 {
			t.Fatalf("Lift = %+v, %v", lifted, err)
		}
		time.Sleep(5 * time.Minute)
		if d, err := w.files.Deployment(); err != nil || d.Attempt != 4 {
			t.Errorf("once it is lifted, it is attempt %d (%v)", d.Attempt, err)
		}
	})
}
