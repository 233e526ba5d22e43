//go:build e2e

package e2e_test

import (
	"context"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestInterrupted: somebody reboots the host, or stops the agent, in the middle
// of a deployment.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	f := up(t, "rebooted", "stopped")
	rebooted, stopped := f.Host("rebooted"), f.Host("stopped")
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := requireOn(t, rebooted, "before")
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		fleet.Edit(w, fleet.Config("grace: 1s", "grace: 4s"), "rebooted")
		fleet.Edit(w, fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart)), "stopped")
	})

	awaitStep(t, stopped, rev, proto.PhaseActivating)
	stopped.MustRun(t, "systemctl", "stop", "kedge-agent.service")
	first := awaitStep(t, rebooted, rev, proto.PhaseProbation)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := rebooted.Reboot(ctx); err != nil {
		t.Fatal(err)
	}
	if booted := rebooted.MustFacts(t).Booted; booted != before.Current {
		t.Errorf("rebooted: booted %s in the middle of a deployment, want the proven %s", booted, before.Current)
	}
	rebooted.MustAwaitEvent(t, "the reboot in its history", func(e proto.Event) bool {
		return e.Deployment == first.ID && e.Phase == proto.PhaseInconclusive && e.Reason == proto.ReasonPowerLoss
	})
	rebooted.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, rebooted, "after")
	if r, err := rebooted.Record(); err != nil || r.Attempt != 2 {
		t.Errorf("rebooted: committed in attempt %d (%v), want 2", r.Attempt, err)
	}

	stopped.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, stopped, "after")
	if r, err := stopped.Record(); err != nil || r.Attempt != 1 {
		t.Errorf("stopped: committed in attempt %d (%v), want 1", r.Attempt, err)
	}
}
