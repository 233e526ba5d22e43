package agent_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/agent"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// revisionText is the revision of what was proven before.
const revisionText = "0123456789abcdef0123456789abcdef01234567"

// provenAfter is a world whose host runs b, proven after a, and shall run it.
func provenAfter(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	before := deployment.Previous{Toplevel: pathA, Generation: 1}
	if err := errors.Join(before.Revision.UnmarshalText([]byte(revisionText)), w.files.Prepare(), w.files.SaveProven(deployment.Proven{
		Toplevel: pathB, Generation: 2, Previous: before,
	})); err != nil {
		t.Fatal(err)
	}
	w.systems = proto.Systems{Current: pathB, Booted: pathA, Profile: pathB, Generation: 2}
	return w
}

// awaitByHand waits for the transaction of what somebody on the host wants.
func (w *world) awaitByHand() (d deployment.Deployment) {
	w.t.Helper()
	w.await("a transaction by hand", func() bool {
		i := slices.IndexFunc(w.ensured, deployment.Deployment.ByHand)
		if i >= 0 {
			d = w.ensured[i]
		}
		return i >= 0
	})
	return d
}

func TestRollBackGoesToWhatWasProvenBefore(t *testing.T) {
	w := provenAfter(t)
	w.unread = errors.New("nobody answers") // and nobody need
	a, stop := w.startAgent()
	s, err := a.RollBack(t.Context(), control.RollBackRequest{Reason: "it is slow", By: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	d := w.awaitByHand()
	if d.ID != s.ID || d.Toplevel != pathA || d.Restore || d.Proven.Toplevel != pathB || d.Phase != proto.PhaseFetched || d.Serial != 0 || !d.Plain ||
		d.Probation.Deadline != time.Hour || d.RollbackProbation.Deadline == 0 || d.RollbackProbation.Deadline == time.Hour || d.Agent == "" || d.ActivationTimeout == 0 {
		t.Errorf("the record is %+v", d)
	}
	if d.Reason != proto.ReasonRolledBackByHand || d.Message != "by ada: it is slow" {
		t.Errorf("it says %s: %s", d.Reason, d.Message)
	}
	stop() // in the middle, and it goes on
	w.change(func() { w.ensured, w.unread = nil, nil })
	w.assign(7, pathB)
	w.start()
	if again := w.awaitByHand(); again.ID != d.ID {
		t.Errorf("seen to is %s, want %s", again.ID, d.ID)
	}
	// As its transaction does.
	if err := w.files.Quarantine(d.Proven.Toplevel, proto.ReasonRolledBackByHand, time.Now()); err != nil {
		t.Fatal(err)
	}
	w.commit(d)
	w.awaitStatus("the fleet to see that", func(s proto.Status) bool {
		c := condition(s, proto.ConditionReady)
		return c.Reason == proto.ReasonRolledBackByHand && c.Status == proto.StatusFalse && s.Deployment.Message == "by ada: it is slow"
	})
}

// again is the answer to who asks for what he has.
const again = "nothing to do: deployment 7-x was taken back already; name a generation with --to"

// takenBack leaves a record that somebody on the host ended by these phases, from
// fetched on.
func takenBack(phases ...proto.Phase) func(w *world) {
	return func(w *world) { w.record(endedByHand(w, deployment.Deployment{}, phases...)) }
}

// endedByHand returns d, of pathC, as somebody on the host ended it.
func endedByHand(w *world, d deployment.Deployment, phases ...proto.Phase) deployment.Deployment {
	w.t.Helper()
	var err error
	d.Proven, err = w.files.Proven()
	w.must(err)
	d.ID, d.Toplevel, d.Phase = "7-x", pathC, proto.PhaseFetched
	for i, p := range phases {
		s := deployment.Step{Phase: p}
		if p == proto.PhaseProbation {
			d.Phase = proto.PhaseActivating
		}
		if p == proto.PhaseRollingBack || p == proto.PhaseSuperseded {
			s.Reason, s.Message = proto.ReasonRolledBackByHand, "by ada"
		}
		if d, err = d.Advance(s); err != nil {
			w.t.Fatalf("step %d: %v", i, err)
		}
	}
	return d
}

func TestRollBackChoosesOrSaysWhyNot(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setUp func(w *world)
		to    proto.Generation
		want  proto.StorePath // where it goes to, or from if it restores
		error string          // or why not
	}{
		{"a generation", func(*world) {}, 3, pathC, ""},
		{"the generation of what was proven before", func(*world) {}, 1, pathA, ""},
		{"a generation that there is not", func(*world) {}, 4, proto.StorePath{}, "nothing to do: the system profile has no generation 4"},
		{"what runs", func(*world) {}, 2, proto.StorePath{}, "nothing to do: " + pathB.String() + " runs already"},
		{"what is not here any more", func(w *world) { w.absent = pathA }, 0, proto.StorePath{}, "it is not here"},
		{"when nothing is known", func(w *world) { w.prove(deployment.Proven{Toplevel: pathB}) }, 0, proto.StorePath{}, "name a generation with --to"},
		{"back to what was proven, from what is tried", func(w *world) { w.systems.Current = pathC }, 0, pathC, ""},
		{"but not elsewhere then", func(w *world) { w.systems.Current = pathC }, 3, proto.StorePath{}, "without --to"},
		{"what is neither", func(w *world) { w.systems.Current, w.systems.Profile = pathC, pathA }, 0, proto.StorePath{}, "a person has to choose"},
		{"although suspended", func(w *world) { w.must(w.files.Suspend(statefile.Suspension{Since: time.Now()})) }, 0, pathA, ""},
		{"in spite of vetoes", func(w *world) { w.must(w.files.Veto(statefile.Veto{Who: "backup"})) }, 0, pathA, ""},
		{"during a deployment", func(w *world) {
			w.record(deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathC, Phase: proto.PhaseProbation})
		}, 0, proto.StorePath{}, "deployment 7-x is under way"},
		{"again, what was on probation", takenBack(proto.PhaseProbation, proto.PhaseRollingBack, proto.PhaseRolledBack), 0, proto.StorePath{}, again},
		{"again, without contact", takenBack(proto.PhaseProbation, proto.PhaseRollingBack, proto.PhaseInconclusive), 0, proto.StorePath{}, again},
		{"again, what was staged", takenBack(proto.PhaseStaging, proto.PhaseStaged, proto.PhaseSuperseded), 0, proto.StorePath{}, again},
		{"again, what was held", func(w *world) {
			w.record(endedByHand(w, deployment.Deployment{Way: deployment.WayHold}, proto.PhaseSuperseded))
		}, 0, proto.StorePath{}, again},
		{"again, when what was proven is back", func(w *world) {
			w.record(endedByHand(w, deployment.Deployment{Origin: deployment.OriginHand, Restore: true}, proto.PhaseRollingBack, proto.PhaseRolledBack))
		}, 0, proto.StorePath{}, "nothing to do: deployment 7-x brought back what was proven already; name a generation with --to"},
		{"again, and further", takenBack(proto.PhaseProbation, proto.PhaseRollingBack, proto.PhaseRolledBack), 1, pathA, ""},
		{"when the way back could not be gone", func(w *world) {
			d := endedByHand(w, deployment.Deployment{}, proto.PhaseProbation, proto.PhaseRollingBack, proto.PhaseRollbackFailed)
			d.Reason = proto.ReasonRollbackFailed
			w.record(d)
		}, 0, pathA, ""},
		{"when what waited was overtaken, and no more came of it", takenBack(proto.PhaseSuperseded), 0, pathA, ""},
		{"when something else was adopted since", func(w *world) {
			takenBack(proto.PhaseProbation, proto.PhaseRollingBack, proto.PhaseRolledBack)(w)
			p, err := w.files.Proven()
			w.must(err)
			p.Since = p.Since.Add(time.Hour)
			w.prove(p)
		}, 0, pathA, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := provenAfter(t)
			tt.setUp(w)
			a, _ := w.startAgent()
			_, err := a.RollBack(t.Context(), control.RollBackRequest{To: tt.to, By: "ada"})
			if tt.error != "" {
				if err == nil || !strings.Contains(err.Error(), tt.error) || errors.Is(err, control.ErrNothing) != strings.HasPrefix(err.Error(), "nothing") {
					t.Errorf("RollBack = %v, want %q", err, tt.error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			d := w.awaitByHand()
			if restores := tt.want == w.systems.Current; d.Toplevel != tt.want || d.Restore != restores || d.Registered != restores {
				t.Errorf("the record is %+v, want %s", d, tt.want)
			}
			if known := tt.want == pathA; known != (d.Revision.String() == revisionText) {
				t.Errorf("its revision is %q, known is %t", d.Revision, known)
			}
		})
	}
}

func TestRollBackOvertakesWhatWaits(t *testing.T) {
	w := provenAfter(t)
	begun, cut := w.fetchUntilCut()
	a, _ := w.startAgent()
	w.assign(7, pathC)
	w.awaitClosed("the fetch", begun)
	s := w.awaitStatus("the deployment", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseAccepted })
	if _, err := a.RollBack(t.Context(), control.RollBackRequest{By: "ada"}); err != nil {
		t.Fatal(err)
	}
	w.awaitClosed("the end of the fetch", cut)
	w.awaitByHand()
	w.await("the end of what waited to be told", func() bool {
		return slices.ContainsFunc(w.events, func(e proto.Event) bool {
			return e.Deployment == s.Deployment.ID && e.Phase == proto.PhaseSuperseded && e.Reason == proto.ReasonRolledBackByHand
		})
	})
	h, err := a.History()
	if err != nil || len(h.Deployments) != 1 || h.Deployments[0].ID != s.Deployment.ID {
		t.Errorf("history is %+v, %v; want what waited", h, err)
	}
}

// TestRollBackLeavesWhatIsArmed checks that nobody but a transaction ends what the
// boot loader was told of.
func TestRollBackLeavesWhatIsArmed(t *testing.T) {
	w := provenAfter(t)
	w.configure = func(c *agent.Config) { c.Policy.Normal = deployment.WayHold }
	a, _ := w.startAgent()
	w.assign(7, pathC)
	w.awaitStatus("it to be held", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonHeld
	})
	w.examined = func() { // confirmed meanwhile, and as fast as can be
		d, err := w.files.Deployment()
		if err != nil {
			t.Error(err)
		}
		d.Phase, d.Way, d.BootID, d.Armed, d.Parked = proto.PhaseArmed, deployment.WayBoot, "boot", true, true
		if err := w.files.Save(d); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.RollBack(t.Context(), control.RollBackRequest{To: 1, By: "ada"}); err == nil {
		t.Error("no error")
	}
	if d, err := w.files.Deployment(); err != nil || d.Phase != proto.PhaseArmed {
		t.Errorf("the record is %s, %v", d.Phase, err)
	}
}

func TestRollBackWaitsForTheHooksOfTheLastEnd(t *testing.T) {
	w := provenAfter(t)
	done := make(chan struct{})
	w.hooks.PostCommit = []agent.HookConfig{{Exec: []string{"/bin/true"}, Timeout: time.Minute}}
	w.hook = func(ctx context.Context, c hook.Call) error {
		if c.Point == hook.PostCommit {
			select {
			case <-done:
			case <-ctx.Done():
			}
		}
		return nil
	}
	w.record(deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseCommitted})
	a, _ := w.startAgent()
	w.await("the hooks", func() bool { return len(w.calls) > 0 })
	if _, err := a.RollBack(t.Context(), control.RollBackRequest{}); err == nil || !strings.Contains(err.Error(), "hooks") {
		t.Errorf("RollBack = %v, want it to wait for the hooks", err)
	}
	close(done)
	for { // until the reconciler knows of their end
		_, err := a.RollBack(t.Context(), control.RollBackRequest{})
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "hooks") {
			t.Fatal(err)
		}
	}
	w.awaitByHand()
}

func TestOneCanGoBackFromWhatWasAdopted(t *testing.T) {
	w := provenAfter(t)
	w.systems.Current, w.systems.Profile = pathC, pathC
	w.start()
	w.awaitStatus("the adoption", func(s proto.Status) bool { return s.Systems.Proven == pathC })
	if p, err := w.files.Proven(); err != nil || p.Previous != (deployment.Previous{Toplevel: pathB, Generation: 2}) {
		t.Errorf("proven is %+v, %v; want one that knows what was proven before", p, err)
	}
}

func TestARestoreAsksNoHook(t *testing.T) {
	w := provenAfter(t)
	w.hooks.PreActivate = []agent.HookConfig{{Exec: []string{"/bin/false"}, Timeout: time.Minute}}
	w.hook = func(context.Context, hook.Call) error { return errors.New("no") }
	w.systems.Current = pathC
	a, _ := w.startAgent()
	if _, err := a.RollBack(t.Context(), control.RollBackRequest{}); err != nil {
		t.Fatal(err)
	}
	w.awaitByHand()
}

func TestWhatSomebodySaysHoldsWithoutContact(t *testing.T) {
	w := newWorld(t)
	w.unread = errors.New("nobody answers")
	a, _ := w.startAgent()
	if _, err := a.Suspend(t.Context(), control.SuspendRequest{By: "ada"}); err != nil {
		t.Errorf("Suspend = %v", err)
	}
	if err := a.Resume(t.Context(), "ada"); err != nil {
		t.Errorf("Resume = %v", err)
	}
}

func (w *world) prove(p deployment.Proven) { w.must(w.files.SaveProven(p)) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
