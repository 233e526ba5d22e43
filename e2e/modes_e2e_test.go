//go:build e2e

package e2e_test

import (
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestTransactionModes: a system is only asked, only tested, or only boots; and
// hosts that reboot do so one after the other.
func TestTransactionModes(t *testing.T) {
	t.Parallel()
	f := up(t, "web1", "web2")
	h := f.Host("web1")
	commit(t, f, "older", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("older")) })
	older := requireOn(t, h, "older").Current
	commit(t, f, "newer", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("newer")) })
	newer := requireOn(t, h, "newer")

	t.Run("dry-activate touches nothing", func(t *testing.T) {
		out := f.MustKedge(t, "publish", "--mode", "dry-activate", "web1="+older, "--wait")
		requireSays(t, "`kedge publish`", out, "web1: tried")
		v := h.MustAwaitView(t, "what it would change", func(v proto.HostView) bool { return v.Status.Deployment.Phase == proto.PhaseTried })
		requireSays(t, "the deployment", v.Status.Deployment.Message, "would", "app.service")
		requireSame(t, h, newer)
	})
	t.Run("test lasts until the next boot", func(t *testing.T) {
		requireSays(t, "`kedge publish`", f.MustKedge(t, "publish", "--mode", "test", "web1="+older, "--wait"), "web1: tried")
		got := h.MustFacts(t)
		if got.App != "older" || got.Current != older || got.Profile != newer.Profile || got.BootDefault != newer.BootDefault {
			t.Errorf("%+v, want %s to run, and nothing else to have changed since %+v", got, older, newer)
		}
		awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonTried)
		if err := h.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		requireOn(t, h, "newer")
	})
	t.Run("boot waits for somebody's, and can be taken back", func(t *testing.T) {
		f.MustKedge(t, "publish", "--mode", "boot", "web1="+older)
		awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonAwaitingBoot)
		f.MustKedge(t, "publish", "web1="+newer.Current, "--wait")
		h.MustAwaitEvent(t, "it to be taken back", func(e proto.Event) bool {
			return e.Phase == proto.PhaseSuperseded && e.Reason == proto.ReasonNewerAssignment && e.Toplevel.String() == older
		})
		if err := h.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := requireOn(t, h, "newer"); got.Booted != newer.Current {
			t.Errorf("booted %s, want %s", got.Booted, newer.Current)
		}
	})
	t.Run("or by somebody on the host", func(t *testing.T) {
		f.MustKedge(t, "publish", "--mode", "boot", "web1="+older)
		v := awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonAwaitingBoot)
		said := h.MustRun(t, "kedge-agent", "rollback", "--reason", "not today", "--wait")
		requireSays(t, "rollback --wait", said, "rolled-back: rolled-back-by-hand: by root: not today")
		requireOn(t, h, "newer")
		if !quarantined(t, h, v.Status.Deployment.Toplevel) {
			t.Error("it is not quarantined")
		}
		if err := h.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		requireBack(t, h, newer)
		h.MustRun(t, "kedge-agent", "lift", older)
	})
	t.Run("boot is judged in the boot that comes", func(t *testing.T) {
		awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonAwaitingBoot)
		if err := h.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.MustAwaitView(t, "the commit", func(v proto.HostView) bool {
			return v.Status.Deployment.Phase == proto.PhaseCommitted && v.Status.Systems.Proven.String() == older
		})
		if got := requireOn(t, h, "older"); got.Booted != older {
			t.Errorf("booted %s, want %s", got.Booted, older)
		}
	})
	t.Run("what waits for a boot is not tried if it is withdrawn", func(t *testing.T) {
		before := h.MustFacts(t)
		f.MustKedge(t, "publish", "--mode", "boot", "web1="+newer.Current)
		v := awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonAwaitingBoot)
		f.MustKedge(t, "release", "withdraw", v.Want.Release.String(), "--key", controllerKeys+"release", "--out", "/root/withdrawn")
		f.MustKedge(t, "publish", "/root/withdrawn")
		awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonWithdrawn)
		h.MustAwaitEvent(t, "the end", func(e proto.Event) bool {
			return e.Deployment == v.Status.Deployment.ID && e.Phase == proto.PhaseInconclusive && e.Reason == proto.ReasonWithdrawn
		})
		if err := h.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		requireSame(t, h, before)
	})
	t.Run("with leases hosts reboot one after the other", func(t *testing.T) {
		commit(t, f, "with leases", func(w *toplevel.Fleet) {
			fleet.Edit(w, rebooting("reboot"))
			fleet.Edit(w, fleet.Config("probation:", "reboot: {lease: true}\nprobation:"))
		})
		rev := commit(t, f, "booted", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("booted")) })
		var ended time.Time // of the first reboot
		var last fleet.Record
		for _, h := range f.Hosts() {
			requireOn(t, h, "booted")
			r, err := h.Record()
			if err != nil {
				t.Fatal(err)
			}
			if r.Revision != rev || r.Entered(proto.PhaseArmed).IsZero() {
				t.Fatalf("%s did not reboot for %s: %+v", h.Name(), rev.Short(), r)
			}
			if last.ID != "" {
				first, second := last, r
				if second.Entered(proto.PhaseArmed).Before(first.Entered(proto.PhaseArmed)) {
					first, second = second, first
				}
				ended = first.Entered(proto.PhaseCommitted)
				if second.Entered(proto.PhaseArmed).Before(ended) {
					t.Errorf("one rebooted at %s, before the other had ended at %s", second.Entered(proto.PhaseArmed), ended)
				}
			}
			last = r
		}
	})
}
