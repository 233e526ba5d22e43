package agent_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

var (
	docked    = deployment.Specialisation{Name: "docked", System: mustPath("/nix/store/33333333333333333333333333333333-nixos-system-b")}
	travel    = deployment.Specialisation{Name: "travel", System: mustPath("/nix/store/44444444444444444444444444444444-nixos-system-b")}
	dockedOfC = deployment.Specialisation{Name: "docked", System: mustPath("/nix/store/55555555555555555555555555555555-nixos-system-c")}
)

// specialisedOn is a host that shall run b in docked, proven so, booted into b, and
// that runs in s since ten minutes.
func specialisedOn(s deployment.Specialisation, changes ...func(o *agent.Observation)) agent.Observation {
	o := settledOn(pathB, pathB)
	o.Proven.Specialisation, o.Shall, o.Specialised = docked, docked, true
	o.Systems.Current, o.Systems.Specialisation, o.Systems.Booted = s.Of(pathB), s.Name, pathB
	o.Drift = agent.Drift{DriftConfig: agent.DriftConfig{Policy: agent.DriftAdopt, Settle: settle}, Since: o.Now.Add(-10 * time.Minute)}
	for _, c := range changes {
		c(&o)
	}
	return o
}

func TestDecideSpecialisation(t *testing.T) {
	none := deployment.Specialisation{}
	booted := func(o *agent.Observation) { o.Specialised = false }
	policy := func(p agent.DriftPolicy) func(o *agent.Observation) {
		return func(o *agent.Observation) { o.Drift.Policy = p }
	}
	unjudged := func(o *agent.Observation) { o.Proven.Specialisation, o.Proven.Adopted = none, true }
	for _, tt := range []struct {
		name   string
		o      agent.Observation
		want   agent.Action
		reason proto.Reason
		again  time.Duration // from now
	}{
		{"as it shall", specialisedOn(docked), agent.ActionRest, proto.ReasonConverged, 0},
		{"a boot has left it", specialisedOn(none, booted), agent.ActionRestore, proto.ReasonSpecialised, 0},
		{"which is nobody's deed, whatever the policy", specialisedOn(none, booted, policy(agent.DriftReport)), agent.ActionRestore, proto.ReasonSpecialised, 0},
		{"and is mended before anything else", specialisedOn(none, booted, func(o *agent.Observation) {
			o.Order.Release.Toplevel = pathC
		}), agent.ActionRestore, proto.ReasonSpecialised, 0},
		{"also where nothing is assigned", specialisedOn(none, booted, func(o *agent.Observation) { o.Order = nil }), agent.ActionRestore, proto.ReasonSpecialised, 0},
		{"but not during a switch", specialisedOn(none, booted, func(o *agent.Observation) { o.Drift.Switching = true }), agent.ActionRest, proto.ReasonConverged, 0},
		{"nor after it failed in this boot", specialisedOn(none, booted, func(o *agent.Observation) {
			o.Record = deployment.Deployment{ID: "drift-x", Phase: proto.PhaseRollbackFailed, Toplevel: pathB, BootID: "this"}
			o.BootID = "this"
		}), agent.ActionRest, proto.ReasonRollbackFailed, 0},
		{"nor at once where it cannot be gone to", specialisedOn(none, booted, func(o *agent.Observation) {
			o.Record = deployment.Deployment{
				ID: "drift-x", Origin: deployment.OriginDrift, Attempt: 1, Phase: proto.PhaseFailed, Toplevel: pathB, Since: o.Now, Reason: proto.ReasonReadOnly,
			}
		}), agent.ActionRest, proto.ReasonConverged, 10 * time.Second},
		{"another one was booted from the menu", specialisedOn(travel, booted, func(o *agent.Observation) {
			o.Systems.Booted = travel.System
		}), agent.ActionRest, proto.ReasonConverged, 0},
		{"adopt: somebody switched to another one", specialisedOn(travel), agent.ActionRest, proto.ReasonConverged, 0},
		{"adopt: or to none", specialisedOn(none), agent.ActionRest, proto.ReasonConverged, 0},
		{"adopt: which is nothing foreign", specialisedOn(travel, func(o *agent.Observation) { o.Order.Release.Toplevel = pathC }), agent.ActionDeploy, proto.ReasonDeploying, 0},
		{"report: likewise", specialisedOn(travel, policy(agent.DriftReport)), agent.ActionRest, proto.ReasonConverged, 0},
		{"restore: it is brought back", specialisedOn(travel, policy(agent.DriftRestore)), agent.ActionRestore, proto.ReasonSpecialised, 0},
		{"restore: once it has settled", specialisedOn(travel, policy(agent.DriftRestore), func(o *agent.Observation) {
			o.Drift.Since = o.Now.Add(-time.Minute)
		}), agent.ActionRest, proto.ReasonConverged, 4 * time.Minute},
		{"restore: which keeps nothing else waiting", specialisedOn(travel, policy(agent.DriftRestore), func(o *agent.Observation) {
			o.Drift.Since = o.Now.Add(-time.Minute)
			o.Order.Release.Toplevel = pathC
		}), agent.ActionDeploy, proto.ReasonDeploying, 0},
		{"restore: where there shall be none, too", specialisedOn(travel, policy(agent.DriftRestore), func(o *agent.Observation) {
			o.Proven.Specialisation, o.Shall = none, none
		}), agent.ActionRestore, proto.ReasonSpecialised, 0},
		{"somebody else made it run, and it was never judged in it", specialisedOn(none, booted, unjudged), agent.ActionDeploy, proto.ReasonDeploying, 0},
		{"but only where it is assigned", specialisedOn(none, booted, unjudged, func(o *agent.Observation) { o.Order = nil }), agent.ActionRest, proto.ReasonNoDesired, 0},
		{"to be run at once", specialisedOn(none, booted, unjudged, func(o *agent.Observation) {
			o.Order.Assignment.Mode = proto.ModeBoot
		}), agent.ActionRest, proto.ReasonConverged, 0},
		{"or not to be tried", specialisedOn(none, booted, unjudged, func(o *agent.Observation) {
			o.Order.Assignment.Mode = proto.ModeTest
		}), agent.ActionRest, proto.ReasonConverged, 0},
		{"and unless it runs in it", specialisedOn(docked, unjudged), agent.ActionRest, proto.ReasonConverged, 0},
		{"nor if it failed here", specialisedOn(none, booted, unjudged, func(o *agent.Observation) {
			o.Quarantine = quarantine(o.Now.Add(time.Hour))
		}), agent.ActionRest, proto.ReasonQuarantined, time.Hour},
		{"also if the assignment was committed before", specialisedOn(none, booted, unjudged, func(o *agent.Observation) {
			o.Record = deployment.Deployment{ID: "7-x", Serial: 7, Phase: proto.PhaseCommitted, Toplevel: pathB}
		}), agent.ActionDeploy, proto.ReasonDeploying, 0},
		{"a specialisation of what somebody registered", specialisedOn(none, func(o *agent.Observation) {
			o.Systems.Current, o.Systems.Specialisation, o.Systems.Profile = dockedOfC.System, "docked", pathC
		}), agent.ActionAdopt, proto.ReasonAdopted, 0},
		{"restore: what somebody registered while it ran on", specialisedOn(docked, policy(agent.DriftRestore), func(o *agent.Observation) {
			o.Systems.Specialisation, o.Systems.Profile = "", pathC
		}), agent.ActionRestore, proto.ReasonDriftRestored, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := agent.Decide(tt.o)
			if got.Action != tt.want || got.Reason != tt.reason {
				t.Errorf("Decide = %s because of %q: %s; want %s because of %q", got.Action, got.Reason, got.Message, tt.want, tt.reason)
			}
			var again time.Time
			if tt.again > 0 {
				again = tt.o.Now.Add(tt.again)
			}
			if !got.Again.Equal(again) {
				t.Errorf("decides again at %s, want %s", got.Again, again)
			}
		})
	}
}

// specialisedWorld has b proven in docked, and the host booted into b, in which
// it runs in s.
func specialisedWorld(t *testing.T, s deployment.Specialisation) *world {
	t.Helper()
	w := provenAfter(t)
	w.drift = agent.DriftConfig{Policy: agent.DriftAdopt, Settle: settle}
	w.configured = map[proto.StorePath]deployment.Specialisation{pathB: docked, pathC: dockedOfC}
	w.prove(deployment.Proven{Toplevel: pathB, Generation: 2, Specialisation: docked})
	w.systems.Booted = pathB
	w.runs(s)
	return w
}

func (w *world) Configured(toplevel proto.StorePath) (deployment.Specialisation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.configured[toplevel], w.unconfigured
}

func (w *world) runs(s deployment.Specialisation) {
	w.change(func() { w.systems.Current, w.systems.Specialisation = s.Of(pathB), s.Name })
}

// TestASpecialisationIsBroughtBackAfterABoot: and not over what somebody chose in it.
func TestASpecialisationIsBroughtBackAfterABoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := specialisedWorld(t, deployment.Specialisation{})
		a := w.follow()
		w.assign(7, pathB)
		synctest.Wait()
		d, err := w.files.Deployment()
		if err != nil || d.Phase != proto.PhaseFetched || !d.Restore || d.Registered || d.Reason != proto.ReasonSpecialised ||
			d.System() != pathB || d.BackTo() != docked.System || d.RollbackProbation.Deadline != time.Hour || d.Boots.Timeout == 0 {
			t.Fatalf("the record is %+v, %v", d, err)
		}
		if !strings.Contains(d.Message, "runs no specialisation, and shall run docked") {
			t.Errorf("it says %q", d.Message)
		}
		// As its transaction does.
		for _, p := range []proto.Phase{proto.PhaseRollingBack, proto.PhaseRolledBack} {
			if d, err = d.Advance(deployment.Step{Phase: p, Time: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		w.must(w.files.Save(d))
		w.runs(docked)
		w.ring()
		time.Sleep(2 * time.Minute)
		if c := condition(a.Status(), proto.ConditionSpecialised); c.Status != proto.StatusTrue || c.Message != "docked" {
			t.Errorf("specialised is %+v", c)
		}
		if c := condition(a.Status(), proto.ConditionReady); c.Status != proto.StatusTrue {
			t.Errorf("ready is %+v", c)
		}
		w.runs(deployment.Specialisation{})
		time.Sleep(30 * time.Minute) // the assignment is valid for longer
		synctest.Wait()
		if again, err := w.files.Deployment(); err != nil || again.ID != d.ID {
			t.Errorf("what somebody chose is undone by %+v, %v", again, err)
		}
		c := condition(a.Status(), proto.ConditionSpecialised)
		if c.Status != proto.StatusFalse || c.Reason != proto.ReasonOtherChosen || !strings.Contains(c.Message, "runs no specialisation, and shall run docked") {
			t.Errorf("specialised is %+v", c)
		}
		if s := a.Status(); condition(s, proto.ConditionDrifted).Status != proto.StatusFalse || !s.Runs(pathB) {
			t.Errorf("it runs something foreign: %+v", s)
		}
	})
}

func TestADeploymentGoesBackToWhatRan(t *testing.T) {
	for _, tt := range []struct {
		name string
		runs deployment.Specialisation
		want deployment.Specialisation
	}{
		{"to what it shall run in", docked, docked},
		{"to what somebody chose", travel, travel},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := specialisedWorld(t, tt.runs)
			w.fetched.Specialisation = dockedOfC
			w.start()
			w.assign(7, pathC)
			d := w.awaitTransaction()
			if d.Toplevel != pathC || d.System() != dockedOfC.System || d.Back != tt.want || !d.From.IsZero() || d.Proven.Specialisation != docked {
				t.Errorf("the record is %+v", d)
			}
			told := d.History[len(d.History)-1].Message
			if left := strings.Contains(told, "leaves specialisation travel"); !strings.Contains(told, "in specialisation docked") || left != (tt.runs == travel) {
				t.Errorf("it says %q", told)
			}
		})
	}
}

func TestRollBackBringsASpecialisationBack(t *testing.T) {
	w := specialisedWorld(t, travel)
	a, _ := w.startAgent()
	if _, err := a.RollBack(t.Context(), control.RollBackRequest{By: "ada"}); err != nil {
		t.Fatal(err)
	}
	d := w.awaitByHand()
	if !d.Restore || d.Registered || d.Toplevel != pathB || d.System() != travel.System || d.BackTo() != docked.System {
		t.Errorf("the record is %+v", d)
	}
}

// TestWhatWasAdoptedIsJudgedInItsSpecialisation: as soon as it is assigned.
func TestWhatWasAdoptedIsJudgedInItsSpecialisation(t *testing.T) {
	w := newWorld(t)
	w.configured = map[proto.StorePath]deployment.Specialisation{pathA: docked}
	w.fetched.Specialisation = docked
	w.inhibits = nil
	w.configure = func(c *agent.Config) { c.Policy.Normal = deployment.WayReboot }
	a, _ := w.startAgent()
	w.awaitStatus("its adoption", func(s proto.Status) bool { return s.Systems.Proven == pathA })
	if c := condition(a.Status(), proto.ConditionSpecialised); c.Status != proto.StatusFalse || c.Reason != proto.ReasonNotProven {
		t.Errorf("specialised is %+v", c)
	}
	w.assign(7, pathA)
	d := w.awaitTransaction()
	if d.Toplevel != pathA || d.System() != docked.System || d.BackTo() != pathA || d.Way != deployment.WaySwitch || d.Restore {
		t.Errorf("the record is %+v", d)
	}
}

func TestABadSpecialisationKeepsItsSystemFromNothingElse(t *testing.T) {
	w := newWorld(t)
	w.configured = map[proto.StorePath]deployment.Specialisation{pathA: docked}
	w.must(errors.Join(w.files.Prepare(), w.files.Quarantine(docked.System, proto.ReasonUnitsFailed, time.Now())))
	w.start()
	w.assign(7, pathA)
	w.awaitStatus("the host to keep away from it", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonQuarantined && s.Deployment.ID == ""
	})
}

func TestAnotherSpecialisationIsNotBooted(t *testing.T) {
	w := newWorld(t)
	w.configured = map[proto.StorePath]deployment.Specialisation{pathA: docked}
	w.fetched.Specialisation, w.inhibits = docked, []string{"bus"}
	w.configure = func(c *agent.Config) { c.Policy.Inhibited = deployment.WayReboot }
	w.start()
	w.assign(7, pathA)
	w.awaitStatus("why not", func(s proto.Status) bool {
		return s.Deployment.Phase == proto.PhaseFailed && s.Deployment.Reason == proto.ReasonRebootNeeded && condition(s, proto.ConditionReady).Reason == proto.ReasonGaveUp
	})
}

// TestASpecialisationThatCannotBeReadIsLeftAlone: it is the one that was judged.
func TestASpecialisationThatCannotBeReadIsLeftAlone(t *testing.T) {
	w := specialisedWorld(t, docked)
	w.unconfigured = errors.New("the disk is gone")
	w.start()
	w.assign(7, pathB)
	w.awaitStatus("the host to rest", func(s proto.Status) bool {
		return s.Runs(pathB) && condition(s, proto.ConditionSpecialised).Status == proto.StatusTrue
	})
}

func TestSpecialisationConfig(t *testing.T) {
	for name, ok := range map[string]bool{"": true, "docked": true, "on the go": true, "a/b": false, "..": false, ".": false, "/": false} {
		c := agent.DefaultConfig()
		c.Activation.Specialisation = name
		err := c.Validate()
		if named := err != nil && strings.Contains(err.Error(), "activation.specialisation: must be the name of one"); named == ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
