package agent_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent"
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

// TestAConfigurationForAnotherMachine: the host says so, and takes nothing; for the machine that it is for it does.
func TestAConfigurationForAnotherMachine(t *testing.T) {
	const here, elsewhere = "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdee"
	for _, tt := range []struct {
		name, is, want string
		refused        bool
	}{
		{"any machine", here, "", false},
		{"this one", here, here, false},
		{"another one", here, elsewhere, true},
		{"one, where this has no machine id", "", elsewhere, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.machineID = tt.is
			w.configure = func(c *agent.Config) { c.MachineID = tt.want }
			w.start()
			w.assign(7, pathB)
			if !tt.refused {
				w.await("a deployment", func() bool { return len(w.ensured) > 0 })
				return
			}
			s := w.awaitRefusal(proto.ReasonWrongMachine)
			w.await("an event with the reason", func() bool {
				return slices.ContainsFunc(w.events, func(e proto.Event) bool { return e.Reason == proto.ReasonWrongMachine })
			})
			if c, err := w.files.Contact(); err != nil || c.Accepted || c.Reason != proto.ReasonWrongMachine {
				t.Errorf("receipt is %+v (%v), want none that counts", c, err)
			}
			if got := w.labelled("kedge_agent_rejected_total", string(proto.ReasonWrongMachine)); got != 1 {
				t.Errorf("counted %v times", got)
			}
			if len(w.ensured) > 0 || strings.Contains(fmt.Sprintf("%+v %+v", s, w.events), here) {
				t.Errorf("began %+v, told %+v", w.ensured, s)
			}
		})
	}
}

// TestAMachineThatBarsItselfHasNoContactThatCounts: the system that made it another one
// would be committed, and never be heard of again.
func TestAMachineThatBarsItselfHasNoContactThatCounts(t *testing.T) {
	for held, accepted := range map[proto.Reason]bool{
		proto.ReasonMachineChanged:  false,
		proto.ReasonStateUnreadable: false,
		proto.ReasonSecondMachine:   true, // by a controller
		proto.ReasonExpiredIdentity: true,
		proto.ReasonRefusedIdentity: true,
		"":                          true,
	} {
		w := newWorld(t)
		w.held = credentials.State{Reason: held}
		w.assign(7, pathB)
		a, stop := w.startAgent()
		w.must(a.Reconcile(t.Context()))
		stop()
		c, err := w.files.Contact()
		if err != nil || c.Accepted != accepted || c.Serial != 7 {
			t.Errorf("%s: receipt is %+v (%v), want accepted is %t", held, c, err, accepted)
		}
		if !accepted && c.Reason != held {
			t.Errorf("%s: receipt is %+v, want the reason", held, c)
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

// TestAStateOfWhoKnowsWhichMachine: an agent that cannot read whose state it has starts
// nevertheless, begins nothing, and says so.
func TestAStateOfWhoKnowsWhichMachine(t *testing.T) {
	w := newWorld(t)
	c := agent.DefaultConfig()
	c.StateDir = w.files.State
	root := t.TempDir()
	w.must(os.Mkdir(filepath.Join(root, "etc"), 0o700))
	w.must(os.WriteFile(filepath.Join(root, "etc/machine-id"), []byte("0123456789abcdef0123456789abcdef\n"), 0o600))
	here, barred := agent.ThisMachine(t.Context(), c, root, w.files, slog.New(slog.DiscardHandler))
	if barred.Bars() || here == "" {
		t.Fatalf("at the first start: %q, %+v", here, barred)
	}
	w.must(os.WriteFile(w.machine(), make([]byte, 64), 0o600))
	_, w.held = agent.ThisMachine(t.Context(), c, root, w.files, slog.New(slog.DiscardHandler))
	if w.held.Reason != proto.ReasonStateUnreadable || !strings.Contains(w.held.Message, "machine.json") {
		t.Fatalf("torn: %+v", w.held)
	}

	w.assign(1, pathB)
	w.start()
	s := w.awaitStatus("why nothing is begun", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonStateUnreadable
	})
	if got := condition(s, proto.ConditionStateValid); got.Status != proto.StatusFalse || !strings.Contains(got.Message, "machine.json") {
		t.Errorf("state = %+v", got)
	}
	if len(w.ensured) > 0 || s.Deployment.Phase != proto.PhaseNone {
		t.Errorf("began %+v", s.Deployment)
	}
}
