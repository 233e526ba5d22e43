package agent_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

const settle = 5 * time.Minute

// drifted is a host that shall run b and has it proven, and on which current
// runs and profile is registered, for ten minutes.
func drifted(policy agent.DriftPolicy, current, profile proto.StorePath, changes ...func(o *agent.Observation)) agent.Observation {
	o := settledOn(pathB, pathB)
	o.Systems.Current, o.Systems.Profile = current, profile
	o.Drift = agent.Drift{DriftConfig: agent.DriftConfig{Policy: policy, Settle: settle}, Since: o.Now.Add(-10 * time.Minute)}
	for _, c := range changes {
		c(&o)
	}
	return o
}

func TestDecideDrift(t *testing.T) {
	since := func(ago time.Duration) func(o *agent.Observation) {
		return func(o *agent.Observation) { o.Drift.Since = o.Now.Add(-ago) }
	}
	restored := func(ago ...time.Duration) func(o *agent.Observation) {
		return func(o *agent.Observation) {
			for _, d := range ago {
				o.Drift.Restored = append(o.Drift.Restored, o.Now.Add(-d))
			}
		}
	}
	rung := func(o *agent.Observation) { o.Rung = true }
	loop := restored(100*time.Minute, 80*time.Minute, 60*time.Minute)
	for _, tt := range []struct {
		name   string
		o      agent.Observation
		want   agent.Action
		reason proto.Reason
		again  time.Duration // from now
	}{
		{"adopt: what is registered", drifted(agent.DriftAdopt, pathC, pathC), agent.ActionAdopt, proto.ReasonAdopted, 0},
		{"adopt: not what is only tried", drifted(agent.DriftAdopt, pathC, pathB), agent.ActionRest, proto.ReasonNotProven, 0},
		{"report: what is registered is left alone", drifted(agent.DriftReport, pathC, pathC), agent.ActionRest, proto.ReasonNotProven, 0},
		{"report: what is tried, too", drifted(agent.DriftReport, pathC, pathB), agent.ActionRest, proto.ReasonNotProven, 0},
		{"report: nothing is deployed meanwhile", drifted(agent.DriftReport, pathC, pathC, func(o *agent.Observation) {
			o.Order.Release.Toplevel = pathA
		}), agent.ActionRest, proto.ReasonNotProven, 0},
		{"report: but what shall run anyway is taken as proven", drifted(agent.DriftReport, pathC, pathC, func(o *agent.Observation) {
			o.Order.Release.Toplevel = pathC
		}), agent.ActionAdopt, proto.ReasonAdopted, 0},
		{"report: and the first system", drifted(agent.DriftReport, pathC, pathC, func(o *agent.Observation) {
			o.Proven = deployment.Proven{}
		}), agent.ActionAdopt, proto.ReasonAdopted, 0},
		{"restore: the first system", drifted(agent.DriftRestore, pathC, pathC, func(o *agent.Observation) {
			o.Proven = deployment.Proven{}
		}), agent.ActionAdopt, proto.ReasonAdopted, 0},
		{"restore: no first system that is only tried", drifted(agent.DriftRestore, pathC, proto.StorePath{}, func(o *agent.Observation) {
			o.Proven = deployment.Proven{}
		}), agent.ActionRest, proto.ReasonNotProven, 0},
		{"restore: what is registered", drifted(agent.DriftRestore, pathC, pathC), agent.ActionRestore, proto.ReasonDriftRestored, 0},
		{"restore: what is tried", drifted(agent.DriftRestore, pathC, pathB), agent.ActionRestore, proto.ReasonDriftRestored, 0},
		{"restore: what shall be booted", drifted(agent.DriftRestore, pathB, pathC), agent.ActionRestore, proto.ReasonDriftRestored, 0},
		{"restore: not what is neither", drifted(agent.DriftRestore, pathC, pathA), agent.ActionRest, proto.ReasonNotProven, 0},
		{"restore: whatever is ordered", drifted(agent.DriftRestore, pathC, pathC, func(o *agent.Observation) { o.Order = nil }), agent.ActionRestore, proto.ReasonDriftRestored, 0},
		{"restore: not in the middle of somebody's work", drifted(agent.DriftRestore, pathC, pathC, since(time.Minute)), agent.ActionRest, proto.ReasonNotProven, 4 * time.Minute},
		{"restore: nor for somebody who asks", drifted(agent.DriftRestore, pathC, pathC, since(time.Minute), rung), agent.ActionRest, proto.ReasonNotProven, 4 * time.Minute},
		{"restore: nor during a switch", drifted(agent.DriftRestore, pathC, pathC, func(o *agent.Observation) { o.Drift.Switching = true }), agent.ActionRest, proto.ReasonNotProven, 0},
		{"restore: nor while suspended", drifted(agent.DriftRestore, pathC, pathC, func(o *agent.Observation) {
			o.Suspended = &statefile.Suspension{Since: o.Now}
		}), agent.ActionRest, proto.ReasonSuspended, 0},
		{"restore: later the second time", drifted(agent.DriftRestore, pathC, pathC, since(9*time.Minute), restored(20*time.Minute)), agent.ActionRest, proto.ReasonNotProven, time.Minute},
		{"restore: and the third", drifted(agent.DriftRestore, pathC, pathC, since(19*time.Minute), restored(50*time.Minute, 20*time.Minute)), agent.ActionRest, proto.ReasonNotProven, time.Minute},
		{"restore: not for what was long ago", drifted(agent.DriftRestore, pathC, pathC, since(settle), restored(3*time.Hour, 2*time.Hour)), agent.ActionRestore, proto.ReasonDriftRestored, 0},
		{"restore: not again and again", drifted(agent.DriftRestore, pathC, pathC, since(time.Hour), loop), agent.ActionRest, proto.ReasonDriftLoop, 23 * time.Hour},
		{"restore: unless somebody asks", drifted(agent.DriftRestore, pathC, pathC, since(time.Hour), loop, rung), agent.ActionRestore, proto.ReasonDriftRestored, 0},
		{"restore: and the next day", drifted(agent.DriftRestore, pathC, pathC, restored(27*time.Hour, 26*time.Hour, 25*time.Hour)), agent.ActionRestore, proto.ReasonDriftRestored, 0},
		{"restore: three in a day are no loop", drifted(agent.DriftRestore, pathC, pathC, restored(5*time.Hour, 3*time.Hour, 2*time.Hour)), agent.ActionRestore, proto.ReasonDriftRestored, 0},
		{"restore: nothing after a way back that failed", with(drifted(agent.DriftRestore, pathC, pathB), func(o *agent.Observation) {
			o.Record = deployment.Deployment{ID: "7-x", Phase: proto.PhaseRollbackFailed, Toplevel: pathC, BootID: "this"}
			o.BootID = "this"
		}), agent.ActionRest, proto.ReasonRollbackFailed, 0},
		{"restore: and nothing where nothing differs", drifted(agent.DriftRestore, pathB, pathB), agent.ActionRest, proto.ReasonConverged, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := agent.Decide(tt.o)
			if got.Action != tt.want || got.Reason != tt.reason {
				t.Errorf("Decide = %s because of %q, want %s because of %q", got.Action, got.Reason, tt.want, tt.reason)
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

func TestWhatWasProvenIsBroughtBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := provenAfter(t)
		w.drift = agent.DriftConfig{Policy: agent.DriftRestore, Settle: settle}
		for _, id := range []string{"drift-1", "drift-2", "drift-3"} { // in place of another system
			past := statefile.Past{DeploymentStatus: proto.DeploymentStatus{ID: id, Toplevel: pathA, Started: time.Now()}}
			past.Steps = []statefile.Step{{Reason: proto.ReasonDriftRestored}}
			w.must(w.files.Remember(past, func(statefile.History) error { return nil }))
		}
		a := w.follow()
		w.assign(7, pathB)
		synctest.Wait()
		record := func(after time.Duration) deployment.Deployment {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			d, err := w.files.Deployment()
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		w.change(func() { w.systems.Current, w.switching = pathC, true })
		if d := record(time.Hour); d.ID != "" {
			t.Fatalf("brought back during a switch: %+v", d)
		}
		w.change(func() { w.systems.Profile, w.switching = pathC, false })
		if d := record(settle - time.Second); d.ID != "" {
			t.Fatalf("brought back before it had settled: %+v", d)
		}
		c := condition(a.Status(), proto.ConditionDrifted)
		if c.Status != proto.StatusTrue || c.Message != "proven is "+pathB.Base()+", runs "+pathC.Base()+", registered is "+pathC.Base()+", booted was "+pathA.Base() {
			t.Errorf("drifted is %+v", c)
		}
		d := record(2 * time.Minute)
		if !strings.HasPrefix(d.ID, "drift-") || d.Phase != proto.PhaseFetched || d.Reason != proto.ReasonDriftRestored || d.Toplevel != pathC ||
			d.Proven.Toplevel != pathB || !d.Restore || !d.Registered || d.ByHand() || d.Ordered() || d.RollbackProbation.Deadline != time.Hour {
			t.Errorf("the record is %+v", d)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.ensured) == 0 || w.ensured[0].ID != d.ID {
			t.Errorf("seen to is %+v", w.ensured)
		}
	})
}

func TestWhatCannotBeBroughtBackIsNotTriedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := provenAfter(t)
		w.drift = agent.DriftConfig{Policy: agent.DriftRestore, Settle: settle}
		w.absent = pathB
		w.systems.Current = pathC
		a := w.follow()
		w.assign(7, pathB)
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		h, err := a.History()
		if err != nil || len(h.Deployments) != 3 {
			t.Fatalf("history is %+v, %v; want three tries", h, err)
		}
		if slices.ContainsFunc(h.Deployments, func(p statefile.Past) bool {
			return p.Phase != proto.PhaseFailed || p.Reason != proto.ReasonFetchFailed
		}) {
			t.Errorf("history is %+v; want why", h)
		}
		for _, of := range []proto.ConditionType{proto.ConditionReady, proto.ConditionDrifted} {
			if c := condition(a.Status(), of); c.Reason != proto.ReasonDriftLoop {
				t.Errorf("%s is %+v, want %s", of, c, proto.ReasonDriftLoop)
			}
		}
	})
}

func TestDriftConfig(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    agent.DriftConfig
		want string
	}{
		{"a policy that there is not", agent.DriftConfig{Policy: "fight", Settle: settle}, `drift.policy: must be one of [adopt restore report], got "fight"`},
		{"no policy", agent.DriftConfig{Settle: settle}, "drift.policy"},
		{"a time without a unit", agent.DriftConfig{Policy: agent.DriftAdopt, Settle: 30}, "drift.settle"},
	} {
		c := agent.DefaultConfig()
		c.Drift = tt.c
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := agent.DefaultConfig().Validate(); err != nil && strings.Contains(err.Error(), "drift") {
		t.Errorf("the default: %v", err)
	}
}

// TestWhatCannotBeBroughtBackIsTriedAgain has what was proven not be here for a while,
// on a host that runs what was tried, and on one that drifted.
func TestWhatCannotBeBroughtBackIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy agent.DriftPolicy
		record deployment.Deployment
		within time.Duration // until it is tried for the fourth time
		tries  int           // while it is not here
	}{
		{"what was tried runs", agent.DriftAdopt, deployment.Deployment{ID: "6-x", Serial: 6, Toplevel: pathC, Phase: proto.PhaseTried}, 30 * time.Minute, 8},
		{"it drifted", agent.DriftRestore, deployment.Deployment{}, 40 * time.Minute, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := provenAfter(t)
				w.drift = agent.DriftConfig{Policy: tt.policy, Settle: settle}
				w.systems.Current, w.absent = pathC, pathB
				w.record(tt.record)
				tried := 0
				w.examined = func() { tried++ }
				w.follow()
				w.assign(7, pathB)
				time.Sleep(tt.within)
				synctest.Wait()
				if tried < 2 || tried > tt.tries {
					t.Errorf("tried %d times in %s, want at most %d", tried, tt.within, tt.tries)
				}
				d, err := w.files.Deployment()
				if err != nil || d.Phase != proto.PhaseFailed || d.Origin != deployment.OriginDrift {
					t.Fatalf("it is %+v, %v", d, err)
				}
				if tt.policy == agent.DriftRestore {
					return
				}
				w.change(func() { w.absent = proto.StorePath{} })
				time.Sleep(15 * time.Minute)
				if d, err = w.files.Deployment(); err != nil || !d.Fetched() || !d.Restore || !d.From.IsZero() {
					t.Errorf("once it is here, it is %+v, %v", d, err)
				}
			})
		})
	}
}
