//go:build e2e

package e2e_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestTransactionInterrupted: somebody reboots the host, or stops the agent, in the middle
// of a deployment; or nothing can be saved any more.
func TestTransactionInterrupted(t *testing.T) {
	t.Parallel()
	f := up(t, "rebooted", "stopped", "stuck")
	rebooted, stopped, stuck := f.Host("rebooted"), f.Host("stopped"), f.Host("stuck")
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := requireOn(t, rebooted, "before")
	old := invocation(t, stuck)
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		fleet.Edit(w, fleet.Config("grace: 1s", "grace: 10s"), "rebooted", "stuck")
		fleet.Edit(w, fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart)), "stopped")
	})

	stop := make(chan error, 1) // whatever the other host does meanwhile
	go func() { stop <- stopAgentAt(t.Context(), stopped, rev, proto.PhaseActivating) }()
	locked := make(chan error, 1)
	go func() { locked <- lockState(t.Context(), stuck, rev, old) }()
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

	if err := <-locked; err != nil {
		t.Fatal(err)
	}
	v := awaitReason(t, stuck, proto.ConditionStuck, proto.StatusTrue, proto.ReasonStuck)
	requireSays(t, "what it is stuck in", condition(v, proto.ConditionStuck).Message, "tried ", "read-only file system")
	requireSays(t, "kedge status", f.MustKedge(t, "status"), "stuck: tried ")
	if facts := stuck.MustFacts(t); facts.App != "after" || facts.Profile == facts.Current {
		t.Errorf("stuck: %+v; want the new system to run, and not to be registered", facts)
	}
	stuck.MustRun(t, "umount", "--lazy", "/var/lib/kedge")
	stuck.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, stuck, "after")
	awaitReason(t, stuck, proto.ConditionStuck, proto.StatusFalse, "")
}

// invocation returns which start of the agent runs.
func invocation(t *testing.T, h *fleet.Host) string {
	t.Helper()
	return strings.TrimSpace(h.MustRun(t, "systemctl", "show", "--value", "--property=InvocationID", "kedge-agent.service"))
}

// lockState makes the agent's state read-only once the new agent, which is not the
// old invocation, has had contact in the probation of rev.
func lockState(ctx context.Context, h *fleet.Host, rev proto.Revision, old string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	_, err := h.AwaitRecord(ctx, rev.Short()+" to be on probation", func(r fleet.Record) bool {
		return r.Revision == rev && r.Phase == proto.PhaseProbation
	})
	if err == nil {
		err = awaitReceipt(ctx, h, func(r receipt) bool { return r.Accepted && r.InvocationID != old })
	}
	if err == nil {
		_, err = h.Run(ctx, "sh", "-c", "mount --bind /var/lib/kedge /var/lib/kedge && mount -o remount,bind,ro /var/lib/kedge")
	}
	return err
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
