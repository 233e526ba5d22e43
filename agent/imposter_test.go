package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/credentials"
	"kedge/proto"
)

// An imposter begins nothing, and does not speak as the host.
func TestAMachineThatIsAnotherHostDoesNotActAsIt(t *testing.T) {
	for _, reason := range []proto.Reason{proto.ReasonSecondMachine, proto.ReasonMachineChanged} {
		w := newWorld(t)
		w.assign(1, pathB)
		w.held = credentials.State{Reason: reason, Message: "web1 is another machine"}
		a, stop := w.startAgent()
		s := a.Status()
		w.await("a decision", func() bool { s = a.Status(); return condition(s, proto.ConditionReady).Reason != "" })
		if got := condition(s, proto.ConditionReady); got.Reason != reason || got.Message != "web1 is another machine" {
			t.Errorf("ready = %+v", got)
		}
		if got := condition(s, proto.ConditionCredentialsValid); got.Status != proto.StatusFalse || got.Reason != reason {
			t.Errorf("credentials = %+v", got)
		}
		stop()
		if len(w.statuses) > 0 || len(w.ensured) > 0 || len(w.events) > 0 {
			t.Errorf("%s: it spoke or acted: %+v, %+v, %+v", reason, w.statuses, w.ensured, w.events)
		}
	}
}

func TestWhoMayNotActMayAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.held = credentials.State{Reason: proto.ReasonSecondMachine}
		w.assign(1, pathB)
		w.follow()
		synctest.Wait()
		w.change(func() { w.held = credentials.State{} })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(w.ensured) == 0 {
			t.Error("nothing was begun")
		}
	})
}
