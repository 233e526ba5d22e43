package controller

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"kedge/controller/internal/rollout"
	"kedge/proto"
	"kedge/proto/bus"
)

// TestWhatIsSoAlreadyIsDoneOnce: whoever asks again for a pause, for its end, or for the end of
// the rollout, because the answer was lost, is not refused, and changes nothing: not even who
// was first.
func TestWhatIsSoAlreadyIsDoneOnce(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
	ask := func(name string, act proto.RolloutAct) proto.RolloutActReply {
		t.Helper()
		req := proto.RolloutActRequest{Act: act, Reason: "as " + name + " says"}
		reply, err := r.act(t.Context(), bus.Caller{Name: name}, req, r.current().ID)
		if err != nil {
			t.Fatalf("%s by %s: %v", act, name, err)
		}
		return reply
	}
	if reply := ask("eva", proto.RolloutActResume); !reply.Again || reply.Rollout.State != proto.RolloutRunning || reply.Rollout.By != "" {
		t.Errorf("a resume of what runs: %+v, want that it runs already, by nobody", reply)
	}
	if reply := ask("ada", proto.RolloutActPause); reply.Again || reply.Rollout.By != "ada" {
		t.Errorf("a pause: %+v", reply)
	}
	first := r.current()
	r.saver.err = syscall.ENOSPC // nothing is to be saved
	if reply := ask("eva", proto.RolloutActPause); !reply.Again || reply.Rollout.By != "ada" || reply.Rollout.Why != "as ada says" {
		t.Errorf("another pause: %+v, want that ada paused it already", reply)
	}
	r.saver.err = nil
	if got := r.current(); got.State != rollout.Paused || got.Entered != first.Entered {
		t.Errorf("after another pause: it is %s by %+v, want %+v", got.State, got.Entered, first.Entered)
	}
	if reply := ask("ada", proto.RolloutActResume); reply.Again || reply.Rollout.State != proto.RolloutRunning {
		t.Errorf("a resume: %+v", reply)
	}
	if reply := ask("eva", proto.RolloutActResume); !reply.Again {
		t.Errorf("another resume: %+v, want that it runs already", reply)
	}
	for _, act := range []proto.RolloutAct{proto.RolloutActAbort, proto.RolloutActRevert} {
		first, second := ask("ada", act), ask("eva", act)
		if first.Again || !second.Again || second.Rollout.State != first.Rollout.State || second.Rollout.By != "ada" {
			t.Errorf("%s twice: %+v, then %+v; want it once, by ada", act, first, second)
		}
	}
	if len(*r.audits) != 4 {
		t.Errorf("audit = %+v, want each act once", *r.audits)
	}
}

// TestWhatIsSoAlreadyIsDurable: that a rollout goes back, which it does by itself since a
// moment, is answered when it is saved, and it is shown.
func TestWhatIsSoAlreadyIsDurable(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	r.deployAs(t, "2", canaryFirst, fleetOf(t, "b"))
	next, err := r.current().Revert(rollout.Act{By: "its budget", At: r.now()})
	if err != nil {
		t.Fatal(err)
	}
	r.rollout, r.unsaved = next, true // as in a round that is under way
	r.saver.err = syscall.ENOSPC
	if err := r.asks(t, proto.RolloutActRevert, ""); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("while nothing can be saved: error = %v, want %v", err, syscall.ENOSPC)
	}
	r.saver.err = nil
	reply, err := r.act(t.Context(), bus.Caller{Name: "ada"}, proto.RolloutActRequest{Act: proto.RolloutActRevert}, r.current().ID)
	if err != nil || !reply.Again || reply.Rollout.State != proto.RolloutReverting {
		t.Errorf("the answer is %+v, %v; want that it goes back already", reply, err)
	}
	r.mustBe(t, "after the answer", rollout.Reverting)
}

// TestAFailedSaveIsMadeGood: what may be on the disk all the same is written over by the
// next round.
func TestAFailedSaveIsMadeGood(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
	r.saver.err = syscall.EIO
	if err := r.asks(t, proto.RolloutActPause, ""); !errors.Is(err, syscall.EIO) {
		t.Fatalf("error = %v, want %v", err, syscall.EIO)
	}
	r.saver.err = nil
	r.saver.saved.State = rollout.Paused // it was written before the error
	r.mustLook(t)
	r.mustBe(t, "after a round", rollout.Running)
}

// TestGoingBackTwiceIsOnce: whoever asks again for an earlier revision that hosts go back to
// already begins nothing anew, so that those who went count; unless they do not go there any
// more.
func TestGoingBackTwiceIsOnce(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	first := r.current().ID
	for _, h := range []string{"web1", "web2", "web3"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.deployAs(t, "2", `{"rollout": {"waves": [{"name": "one", "hosts": "all", "maxInFlight": 1}], "budget": {"failed": 0}}}`, fleetOf(t, "b"))
	for _, h := range []string{"web1", "web2", "web3"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.publisher.published = nil
	r.must(t, proto.RolloutActRevert, revision(t, "1").String())
	r.mustHavePublished(t, "back", "web1=a")
	back := r.current()
	for _, name := range []string{revision(t, "1").String(), first} {
		reply, err := r.act(t.Context(), bus.Caller{Name: "eva"}, proto.RolloutActRequest{Act: proto.RolloutActRevert, To: name}, back.ID)
		if err != nil || !reply.Again {
			t.Errorf("back to %s again: %+v, %v; want that it goes there already", name, reply, err)
		}
		r.mustLook(t)
		r.mustHavePublished(t, "back to "+name+" again")
		if got := r.current().ID; got != back.ID {
			t.Errorf("back to %s again: the rollout is %s, want %s, which is under way", name, got, back.ID)
		}
	}
	if len(*r.audits) != 1 {
		t.Errorf("audit = %+v, want the first of three", *r.audits)
	}
	r.says(t, "web1", proto.PhaseRolledBack)
	r.mustBe(t, "who went back badly counts", rollout.Halted)
	said, ok := errors.AsType[*bus.APIError](r.asks(t, proto.RolloutActRevert, first))
	if !ok || said.Code != bus.CodeRefused || !strings.Contains(said.Message, "is halted; it can be retried") {
		t.Errorf("back to %s again, where that is halted: error = %v, want what to do", first, said)
	}
	r.must(t, proto.RolloutActRevert, "")
	r.mustBe(t, "the way back is taken back", rollout.Reverting)
	r.must(t, proto.RolloutActRevert, first)
	if got := r.current(); got.ID == back.ID || got.Revision != revision(t, "1") {
		t.Errorf("back to %s after that: the rollout is %s, want another one", first, got.ID)
	}
}
