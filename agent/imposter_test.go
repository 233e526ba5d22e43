package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/credentials"
	"kedge/proto"
)

// An imposter begins nothing, and does not speak as the host.
func TestAMachineThatIsAnotherHostDoesNotSpeakAsIt(t *testing.T) {
	for _, reason := range []proto.Reason{proto.ReasonSecondMachine, proto.ReasonMachineChanged} {
		w := newWorld(t)
		w.assign(1, pathB)
		w.held = credentials.State{Reason: reason, Message: "web1 is another machine"}
		a, stop := w.startAgent()
		if got := condition(a.Status(), proto.ConditionCredentialsValid); got.Status != proto.StatusFalse || got.Reason != reason {
			t.Errorf("credentials = %+v", got)
		}
		w.change(func() { w.reads = 0 })
		w.ring()
		w.await("another look", func() bool { return w.reads > 0 })
		stop()
		if len(w.statuses) > 0 || len(w.ensured) > 0 || len(w.events) > 0 {
			t.Errorf("%s: it spoke or acted: %+v, %+v, %+v", reason, w.statuses, w.ensured, w.events)
		}
	}
}

func TestWhyAnImposterBeginsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.held = credentials.State{Reason: proto.ReasonSecondMachine, Message: "web1 is another machine"}
		w.assign(1, pathB)
		a := w.follow()
		synctest.Wait()
		if got := condition(a.Status(), proto.ConditionReady); got.Reason != proto.ReasonSecondMachine || got.Message != "web1 is another machine" {
			t.Errorf("ready = %+v", got)
		}
	})
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
