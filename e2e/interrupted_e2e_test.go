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

// TestTransactionInterrupted: somebody reboots the host, or stops the agent, in the middle
// of a deployment.
func TestTransactionInterrupted(t *testing.T) {
	t.Parallel()
	f := up(t, "rebooted", "stopped")
	rebooted, stopped := f.Host("rebooted"), f.Host("stopped")
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := requireOn(t, rebooted, "before")
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		fleet.Edit(w, fleet.Config("grace: 1s", "grace: 10s"), "rebooted")
		fleet.Edit(w, fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart)), "stopped")
	})

	stop := make(chan error, 1) // whatever the other host does meanwhile
	go func() { stop <- stopAgentAt(t.Context(), stopped, rev, proto.PhaseActivating) }()
	first := awaitStep(t, rebooted, rev, proto.PhaseProbation)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := rebooted.Reboot(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-stop; err != nil {
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

// stopAgentAt stops the agent, as an operator does, when the host's record of
// rev enters the phase.
func stopAgentAt(ctx context.Context, h *fleet.Host, rev proto.Revision, phase proto.Phase) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	_, err := h.AwaitRecord(ctx, rev.Short()+" to be "+string(phase), func(r fleet.Record) bool {
		return r.Revision == rev && r.Phase == phase
	})
	if err == nil {
		// The switch starts what its targets want: if it does so in this very moment,
		// that cancels the job.
		_, err = h.Run(ctx, "sh", "-c", "systemctl stop kedge-agent.service || systemctl stop kedge-agent.service")
	}
	return err
}
