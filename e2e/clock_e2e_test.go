//go:build e2e

package e2e_test

import (
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/e2e/vm"
	"kedge/proto"
)

// TestTransactionClock: a host with a clock of its own, which runs ahead. By a
// year: nothing is valid any more. By a day, without a controller: that is what it
// is like when the controller is down for as long. Either way the host installs
// nothing, runs on, and says so.
func TestTransactionClock(t *testing.T) {
	t.Parallel()
	root, err := vm.Prepare(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	f := upWith(t, fleet.Options{Computers: []string{"web1"}, Bootable: root, Deadline: 4 * time.Minute})
	h := f.Host("web1")
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := requireOn(t, h, "before")

	t.Run("a year ahead", func(t *testing.T) {
		h.MustRun(t, "date", "--set", "1 year")
		h.MustRun(t, "systemctl", "restart", "kedge-agent.service")
		rev := f.MustPush(t, "later", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("later")) })
		awaitExpired(t, h, rev)
		requireSays(t, "`kedge status`", f.MustKedge(t, "status", "web1"), "expired")
		requireSame(t, h, before)

		h.MustRun(t, "date", "--set", "1 year ago")
		f.MustKedge(t, "reconcile", "web1")
		h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireOn(t, h, "later")
	})
	t.Run("a day without the controller", func(t *testing.T) {
		later := h.MustFacts(t)
		h.MustRun(t, "kedge-agent", "suspend")
		f.MustKedge(t, "publish", "web1="+before.Current)
		awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonSuspended)
		withoutController(t, f, func() {
			h.MustRun(t, "date", "--set", "25 hours")
			h.MustRun(t, "kedge-agent", "resume")
			requireSays(t, "`kedge-agent status`", h.MustRun(t, "kedge-agent", "status"), "expired")
			requireSame(t, h, later)
			h.MustRun(t, "date", "--set", "25 hours ago")
		})
		h.MustAwaitView(t, "what was published before", func(v proto.HostView) bool {
			return v.Status != nil && v.Status.Deployment.Toplevel.String() == before.Current && v.Status.Deployment.Phase == proto.PhaseCommitted
		})
		requireOn(t, h, "before")
	})
}

// awaitExpired waits until the host has refused what is published for rev.
func awaitExpired(t *testing.T, h *fleet.Host, rev proto.Revision) {
	t.Helper()
	want := h.MustAwaitView(t, rev.Short()+" to be published", func(v proto.HostView) bool { return v.Want.Revision == rev }).Want
	h.MustAwaitEvent(t, "a refusal of "+rev.Short(), func(e proto.Event) bool {
		return e.Serial == want.Serial && e.Reason == proto.ReasonExpired
	})
	awaitReason(t, h, proto.ConditionAccepted, proto.StatusFalse, proto.ReasonExpired)
}
