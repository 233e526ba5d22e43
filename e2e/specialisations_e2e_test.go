//go:build e2e

package e2e_test

import (
	"maps"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestTransactionSpecialisations: a host runs in the specialisation that its
// configuration names, whatever is deployed, booted or chosen by hand.
func TestTransactionSpecialisations(t *testing.T) {
	t.Parallel()
	f := up(t, "plain", "bad", "restore", "booting")
	commit(t, f, "first", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.Config("log:", "activation: {specialisation: docked}\nlog:"))
		fleet.Edit(w, fleet.Config("log:", "drift: {policy: restore, settle: 1s}\nlog:"), "restore")
		fleet.Edit(w, rebooting("reboot"), "booting")
		fleet.Edit(w, fleet.App("first"))
		fleet.Edit(w, docked(fleet.App("first, docked")))
	})
	before := map[string]fleet.Facts{}
	for _, h := range f.Hosts() {
		before[h.Name()] = requireDocked(t, h, "first, docked")
	}
	rev := f.MustPush(t, "second", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("second"))
		fleet.Edit(w, docked(fleet.App("second, docked")))
		fleet.Edit(w, docked(fleet.App("second, docked"), fleet.AddUnit("broken.service", toplevel.FailsToStart("no"))), "bad")
	})

	t.Run("the next system runs in it, too", func(t *testing.T) {
		h := f.Host("plain")
		requireEnd(t, h, rev, proto.PhaseCommitted, "")
		facts := requireDocked(t, h, "second, docked")
		requireSays(t, "kedge status", f.MustKedge(t, "status", "plain"), "docked of "+facts.Profile)
		requireSays(t, "kedge-agent status", h.MustRun(t, "kedge-agent", "status"), "docked of "+facts.Profile)
		if entries := h.MustRun(t, "ls", "/boot/loader/entries"); !strings.Contains(entries, "-specialisation-docked.conf") {
			t.Errorf("the boot menu has no entry of it: %s", entries)
		}
	})
	t.Run("one that fails goes back to the one before", func(t *testing.T) {
		h := f.Host("bad")
		d := requireEnd(t, h, rev, proto.PhaseRolledBack, proto.ReasonUnitsFailed)
		if d.Specialisation != "docked" || len(d.Failed) != 1 || d.Failed[0].Name != "broken.service" {
			t.Errorf("tells %+v", d)
		}
		requireSame(t, h, before["bad"])
	})
	t.Run("what needs a boot boots its entry", func(t *testing.T) {
		h := f.Host("booting")
		requireEnd(t, h, rev, proto.PhaseCommitted, "")
		if facts := requireDocked(t, h, "second, docked"); facts.Booted != facts.Current || h.Boots() != 2 {
			t.Errorf("booted %s, runs %s, booted %d times", facts.Booted, facts.Current, h.Boots())
		}
	})
	t.Run("a boot leaves it, and it is brought back", func(t *testing.T) {
		h := f.Host("plain")
		if err := h.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		awaitSpecialised(t, h)
		if facts := requireDocked(t, h, "second, docked"); facts.Booted != facts.Profile {
			t.Errorf("booted %s, want the base", facts.Booted)
		}
	})
	t.Run("what somebody chose is left alone until the next deployment", func(t *testing.T) {
		h := f.Host("plain")
		h.MustRun(t, "/nix/var/nix/profiles/system/bin/switch-to-configuration", "test")
		requireOn(t, h, "second")
		f.MustKedge(t, "reconcile", "plain")
		v := awaitReason(t, h, proto.ConditionSpecialised, proto.StatusFalse, proto.ReasonOtherChosen)
		if ready, drifted := condition(v, proto.ConditionReady), condition(v, proto.ConditionDrifted); ready.Status != proto.StatusTrue || drifted.Status != proto.StatusFalse {
			t.Errorf("ready is %+v, drifted %+v", ready, drifted)
		}
		requireSays(t, "kedge status", f.MustKedge(t, "status"), "other-chosen: runs no specialisation, and shall run docked")
		requireOn(t, h, "second")
	})
	t.Run("or brought back, as is configured", func(t *testing.T) {
		h := f.Host("restore")
		requireEnd(t, h, rev, proto.PhaseCommitted, "")
		facts := requireDocked(t, h, "second, docked")
		h.MustRun(t, "/nix/var/nix/profiles/system/bin/switch-to-configuration", "test")
		f.MustKedge(t, "reconcile", "restore")
		awaitSpecialised(t, h)
		requireSame(t, h, facts)
	})

	rev = f.MustPush(t, "third", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("third"))
		fleet.Edit(w, docked(fleet.App("third, docked")))
		fleet.Edit(w, fleet.Config("specialisation: docked", "specialisation: undocked"), "bad")
	})
	t.Run("which leads to what is configured", func(t *testing.T) {
		requireEnd(t, f.Host("plain"), rev, proto.PhaseCommitted, "")
		requireDocked(t, f.Host("plain"), "third, docked")
	})
	t.Run("one that the system has not is refused", func(t *testing.T) {
		requireEnd(t, f.Host("bad"), rev, proto.PhaseFailed, proto.ReasonNoSpecialisation)
		requireSame(t, f.Host("bad"), before["bad"])
	})
}

// docked gives a system the specialisation docked, which is that system with
// changes.
func docked(changes ...func(h *toplevel.Host)) func(h *toplevel.Host) {
	return func(h *toplevel.Host) {
		special := *h
		special.Specialisation, special.Units = nil, maps.Clone(h.Units)
		for _, change := range changes {
			change(&special)
		}
		h.Specialisation = map[string]toplevel.Host{"docked": special}
	}
}

// requireDocked fails unless the host runs the app version given in docked, and
// everything else names the base of that.
func requireDocked(t *testing.T, h *fleet.Host, app string) fleet.Facts {
	t.Helper()
	f := h.MustFacts(t)
	special := strings.TrimSpace(h.MustRun(t, "readlink", f.Profile+"/specialisation/docked"))
	if f.Current != special || f.Profile != f.BootDefault || f.App != app {
		t.Errorf("%s: %+v; want %s to run, which answers %q", h.Name(), f, special, app)
	}
	return f
}

// awaitSpecialised waits until the host has brought its specialisation back.
func awaitSpecialised(t *testing.T, h *fleet.Host) {
	t.Helper()
	h.MustAwaitView(t, "its specialisation to be brought back", func(v proto.HostView) bool {
		d := v.Status.Deployment
		return d.Reason == proto.ReasonSpecialised && d.Phase == proto.PhaseRolledBack && condition(v, proto.ConditionSpecialised).Status == proto.StatusTrue
	})
}
