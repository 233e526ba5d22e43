//go:build e2e

package e2e_test

import (
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestTransactionDrift: what somebody made run in the place of what was proven is brought
// back from, or told of, as is configured.
func TestTransactionDrift(t *testing.T) {
	t.Parallel()
	f := up(t, "restore", "report")
	restore, report := f.Host("restore"), f.Host("report")
	commit(t, f, "older", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("older"))
		for _, h := range f.Hosts() {
			fleet.Edit(w, fleet.Config("log:", "drift:\n  policy: "+h.Name()+"\n  settle: 1s\nlog:"), h.Name())
		}
	})
	older := map[*fleet.Host]fleet.Facts{}
	for _, h := range f.Hosts() {
		older[h] = requireOn(t, h, "older")
	}
	commit(t, f, "newer", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("newer")) })

	before := requireOn(t, restore, "newer")
	switchByHand(t, restore, older[restore].Current)
	first := awaitRestored(t, f, restore, "")
	requireSame(t, restore, before)
	restore.MustRun(t, older[restore].Current+"/bin/switch-to-configuration", "test")
	awaitRestored(t, f, restore, first)
	requireSame(t, restore, before)
	awaitReason(t, restore, proto.ConditionReady, proto.StatusTrue, proto.ReasonConverged)

	before = requireOn(t, report, "newer")
	switchByHand(t, report, older[report].Current)
	f.MustKedge(t, "reconcile", "report")
	v := awaitReason(t, report, proto.ConditionDrifted, proto.StatusTrue, proto.ReasonNotProven)
	requireSays(t, "what differs", condition(v, proto.ConditionDrifted).Message, "proven is "+v.Status.Systems.Proven.Base(), "runs "+v.Status.Systems.Current.Base())
	requireOn(t, report, "older")
	requireSays(t, "rollback --wait", report.MustRun(t, "kedge-agent", "rollback", "--wait"), "rolled-back: rolled-back-by-hand: by root")
	requireSame(t, report, before)
	awaitReason(t, report, proto.ConditionReady, proto.StatusTrue, proto.ReasonConverged)

	rev := f.MustPush(t, "newest", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("newest")) })
	for _, h := range f.Hosts() {
		h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireOn(t, h, "newest")
	}
}

// awaitRestored waits until the host has brought back what was proven, by another
// deployment than the one called last, and returns its ID.
func awaitRestored(t *testing.T, f *fleet.Fleet, h *fleet.Host, last string) string {
	t.Helper()
	f.MustKedge(t, "reconcile", h.Name())
	v := h.MustAwaitView(t, "what was proven to be brought back", func(v proto.HostView) bool {
		d := v.Status.Deployment
		return d.Reason == proto.ReasonDriftRestored && d.ID != last && d.Phase.Terminal()
	})
	if d := v.Status.Deployment; d.Phase != proto.PhaseRolledBack {
		t.Errorf("%s: ended %s: %s", h.Name(), d.Phase, d.Message)
	}
	return v.Status.Deployment.ID
}
