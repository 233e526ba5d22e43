package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// loseFloor removes what was accepted before.
func (w *world) loseFloor() {
	w.t.Helper()
	w.must(os.Remove(filepath.Join(w.files.State, "floors.json")))
}

// reset publishes what is desired together with a reset for a challenge.
func (w *world) reset(challenge string, serial proto.Serial) {
	w.t.Helper()
	w.mu.Lock()
	b := w.desired
	w.mu.Unlock()
	d, err := proto.ParseDesired(b)
	w.must(err)
	e, err := proto.Reset{Host: w.host, Challenge: challenge, Issued: time.Now().Add(-time.Second), Serial: serial}.Sign(w.controller)
	w.must(err)
	d.Reset = &e
	w.publish(d)
}

func (w *world) awaitRefusal(reason proto.Reason) proto.Status {
	w.t.Helper()
	return w.awaitStatus("a refusal for "+string(reason), func(s proto.Status) bool {
		return condition(s, proto.ConditionAccepted).Reason == reason
	})
}

func TestALostFloorAcceptsNothingUntilItIsReset(t *testing.T) {
	w := newWorld(t)
	w.must(w.files.SaveProven(deployment.Proven{Toplevel: pathA, Generation: 1}))
	w.loseFloor()
	stop := w.start()
	w.assign(7, pathA)
	lost := w.awaitRefusal(proto.ReasonFloorsLost)
	if lost.Challenge == "" || len(lost.Challenge) > proto.MaxChallenge {
		t.Fatalf("challenge is %q", lost.Challenge)
	}
	stop()
	stop = w.start() // a restart is no way out, and asks for the same
	if again := w.awaitRefusal(proto.ReasonFloorsLost); again.Challenge != lost.Challenge {
		t.Errorf("challenge after a restart is %q, was %q", again.Challenge, lost.Challenge)
	}
	w.reset("another", 7)
	w.awaitRefusal(proto.ReasonFloorsLost)
	w.reset(lost.Challenge, 8)
	w.awaitRefusal(proto.ReasonRollback) // the reset counts, and says that 7 is too old
	stop()

	w.loseFloor()
	w.start()
	second := w.awaitRefusal(proto.ReasonFloorsLost)
	if second.Challenge == "" || second.Challenge == lost.Challenge {
		t.Errorf("challenge of the second loss is %q, of the first %q", second.Challenge, lost.Challenge)
	}
	w.reset(lost.Challenge, 7)
	w.reset(second.Challenge, 7)
	if s := w.awaitStatus("serial 7", func(s proto.Status) bool { return s.Serial == 7 }); s.Challenge != "" {
		t.Errorf("challenge after the reset is %q, want none", s.Challenge)
	}
}

// Who never accepted anything is a new host, and not one that lost something; and
// becomes one that has run when it has adopted its system.
func TestAFirstStartNeedsNoReset(t *testing.T) {
	w := newWorld(t)
	w.loseFloor()
	stop := w.start()
	w.awaitStatus("the running system to be adopted", func(s proto.Status) bool { return s.Systems.Proven == pathA })
	stop()
	w.start()
	w.assign(7, pathA)
	s := w.awaitStatus("serial 7", func(s proto.Status) bool { return s.Serial == 7 })
	release, controller := s.Trust.Trusts(w.release.Public())
	if !release || controller || len(s.Trust.ControllerKeys) != 1 {
		t.Errorf("trusts %+v, want the release key and the controller key", s.Trust)
	}
}

// Nothing fresh for longer than an assignment is valid, though there is contact.
func TestFreeze(t *testing.T) {
	old := time.Now().Add(-proto.AssignmentLifetime - time.Hour).UTC().Truncate(time.Second)
	for name, hold := range map[string]func(w *world){
		"what was accepted, again and again": func(w *world) { w.issued = old; w.assign(7, pathA) },
		"nothing at all":                     func(*world) {},
		"no answer":                          func(w *world) { w.unread = errors.New("no answer") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.must(w.files.SaveFloor(proto.Floor{Serial: 7, Issued: old, Latest: old}))
			hold(w)
			w.start()
			w.awaitRefusal(proto.ReasonFreeze)
			w.await("an event with the reason", func() bool {
				for _, e := range w.events {
					if e.Reason == proto.ReasonFreeze && e.Serial == 7 {
						return true
					}
				}
				return false
			})
			if c, err := w.files.Contact(); err != nil || c.Accepted {
				t.Errorf("receipt is %+v (%v), want none that counts", c, err)
			}
			n, err := testutil.GatherAndCount(w.registry, "kedge_agent_rejected_total")
			if err != nil || n != len(proto.RefusalReasons())+2 {
				t.Errorf("%d reasons are counted (%v), want %d", n, err, len(proto.RefusalReasons())+2)
			}
		})
	}
	t.Run("something that is not a day old, and then nothing", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.files.SaveFloor(proto.Floor{Serial: 7, Issued: time.Now().Add(-time.Hour)}))
		w.start()
		w.awaitRefusal(proto.ReasonNoDesired)
	})
}
