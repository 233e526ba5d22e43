//go:build e2e

package e2e_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// rebooting makes the policy of a system to reboot for whatever comes after it.
func rebooting(way string) func(h *toplevel.Host) {
	return fleet.Config("probation:", "policy: {normal: "+way+", inhibited: "+way+"}\nprobation:")
}

// TestTransactionBoots: what needs a boot is tried in one, and the proven system
// boots again after one that was not good.
func TestTransactionBoots(t *testing.T) {
	t.Parallel()
	f := up(t, "good", "failing", "panicking", "cut", "patient", "held", "unprotected")
	commit(t, f, "before", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("before"))
		fleet.Edit(w, rebooting("reboot"), "good", "failing", "panicking", "cut", "unprotected")
		fleet.Edit(w, rebooting("boot"), "patient")
		fleet.Edit(w, func(h *toplevel.Host) { h.Inhibitors = map[string]string{"bus": "daemon"} }, "held")
		fleet.Edit(w, withoutVariables, "unprotected")
	})
	// Its agent has known a loader that boots an entry once until the next boot.
	if err := f.Host("unprotected").Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := map[string]fleet.Facts{}
	for _, h := range f.Hosts() {
		before[h.Name()] = requireOn(t, h, "before")
	}
	booted := before["good"].Booted
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		fleet.Edit(w, func(h *toplevel.Host) { h.InitInterface = "systemd 3" }, "good", "held")
		fleet.Edit(w, func(h *toplevel.Host) { h.Inhibitors = map[string]string{"bus": "broker"} }, "held")
		fleet.Edit(w, fleet.AddUnit("broken.service", toplevel.FailsToStart("no")), "failing", "unprotected")
		fleet.Edit(w, panicsAtBoot, "panicking")
	})

	cut := make(chan error, 1)
	go func() { cut <- killAt(t, f.Host("cut"), rev, proto.PhaseProbation, cutPower) }()

	t.Run("a good trial boot commits", func(t *testing.T) {
		h := f.Host("good")
		requireEnd(t, h, rev, proto.PhaseCommitted, "")
		facts := requireOn(t, h, "after")
		if facts.Booted != facts.Current || facts.Booted == booted {
			t.Errorf("booted %s, runs %s", facts.Booted, facts.Current)
		}
		requireSteps(t, h, proto.PhaseStaging, proto.PhaseStaged, proto.PhaseArmed, proto.PhaseProbation, proto.PhaseCommitting)
		if h.Boots() != 2 {
			t.Errorf("was booted %d times, want 2", h.Boots())
		}
	})
	t.Run("failed units in a trial boot go back by a boot", func(t *testing.T) {
		h := f.Host("failing")
		d := requireEnd(t, h, rev, proto.PhaseRolledBack, proto.ReasonUnitsFailed)
		if len(d.Failed) != 1 || d.Failed[0].Name != "broken.service" {
			t.Errorf("names %+v as failed", d.Failed)
		}
		requireBack(t, h, before["failing"])
		if h.Boots() != 3 {
			t.Errorf("was booted %d times, want 3", h.Boots())
		}
	})
	t.Run("a boot that panics is tried twice", func(t *testing.T) {
		h := f.Host("panicking")
		d := requireEnd(t, h, rev, proto.PhaseRolledBack, proto.ReasonTrialBootFailed)
		requireBack(t, h, before["panicking"])
		if !quarantined(t, h, d.Toplevel) {
			t.Error("it is not quarantined")
		}
		if h.Boots() != 5 {
			t.Errorf("was booted %d times, want 5: two trial boots that end in the proven system", h.Boots())
		}
	})
	t.Run("a power cut in a trial boot boots the proven system, and it is tried once more", func(t *testing.T) {
		h := f.Host("cut")
		if err := <-cut; err != nil {
			t.Fatal(err)
		}
		requireEnd(t, h, rev, proto.PhaseCommitted, "")
		facts := requireOn(t, h, "after")
		if facts.Booted != facts.Current {
			t.Errorf("booted %s, runs %s", facts.Booted, facts.Current)
		}
		h.MustAwaitEvent(t, "the power cut", func(e proto.Event) bool {
			return e.Phase == proto.PhaseInconclusive && e.Reason == proto.ReasonPowerLoss
		})
	})
	t.Run("what takes effect at somebody's boot waits for it", func(t *testing.T) {
		h := f.Host("patient")
		awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonAwaitingBoot)
		if got := h.MustFacts(t); got.App != "before" || !got.One() {
			t.Errorf("before the boot: %+v", got)
		}
		if err := h.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		requireEnd(t, h, rev, proto.PhaseCommitted, "")
		requireOn(t, h, "after")
	})
	t.Run("what must not go live is held by default, and boots when a person confirms it", func(t *testing.T) {
		h := f.Host("held")
		v := awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonHeld)
		requireSays(t, "why it is held", condition(v, proto.ConditionReady).Message, "init interface", `bus from "daemon" to "broker"`, "kedge-agent confirm")
		requireSame(t, h, before["held"])
		system := v.Status.Deployment.Toplevel

		// Another assignment takes its place, as long as nobody has confirmed it.
		f.MustKedge(t, "publish", "held="+before["held"].Current, "--wait")
		h.MustAwaitEvent(t, "what was held to give way", func(e proto.Event) bool {
			return e.Phase == proto.PhaseSuperseded && e.Reason == proto.ReasonNewerAssignment && e.Toplevel == system
		})
		requireSame(t, h, before["held"])
		f.MustKedge(t, "publish", "held="+system.String())
		awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonHeld)

		h.MustRun(t, "kedge-agent", "confirm")
		h.MustAwaitView(t, "the commit", func(v proto.HostView) bool {
			d := v.Status.Deployment
			return d.Toplevel == system && d.Phase == proto.PhaseCommitted && condition(v, proto.ConditionReady).Reason == proto.ReasonConverged
		})
		if facts := requireOn(t, h, "after"); facts.Booted != facts.Current || h.Boots() != 2 {
			t.Errorf("confirmed, booted %s, runs %s, booted %d times; want it to run by one boot", facts.Booted, facts.Current, h.Boots())
		}
	})
	t.Run("and back, when a person wants the reboot that this takes", func(t *testing.T) {
		h := f.Host("held")
		code, stderr := exitCode(t, runError(t, h, "kedge-agent", "rollback"))
		if code != 1 {
			t.Errorf("a rollback that must not go live ended with %d, want 1", code)
		}
		requireSays(t, "why it is refused", stderr, "init interface", "--reboot")
		h.MustRun(t, "kedge-agent", "rollback", "--reboot", "--reason", "it is odd")
		h.MustAwaitEvent(t, "the commit by hand", func(e proto.Event) bool {
			return strings.HasPrefix(e.Deployment, "by-hand-") && e.Phase == proto.PhaseCommitted && e.Toplevel.String() == before["held"].Current
		})
		awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonRolledBackByHand)
		if facts := requireOn(t, h, "before"); facts.Booted != before["held"].Current || h.Boots() != 3 {
			t.Errorf("booted %s, booted %d times; want what ran before by one more boot", facts.Booted, h.Boots())
		}
	})
	t.Run("without protection what fails is gone back from, too, if it comes up", func(t *testing.T) {
		h := f.Host("unprotected")
		d := requireEnd(t, h, rev, proto.PhaseRolledBack, proto.ReasonUnitsFailed)
		requireBack(t, h, before["unprotected"])
		awaitReason(t, h, proto.ConditionRebootProtected, proto.StatusFalse, proto.ReasonUnprotected)
		if h.Boots() != 4 {
			t.Errorf("was booted %d times, want 4", h.Boots())
		}
		requireBootDefault(t, h, d.Toplevel)
	})
	t.Run("and what is good commits", func(t *testing.T) {
		h := f.Host("unprotected")
		mended := f.MustPush(t, "mended", func(w *toplevel.Fleet) {
			fleet.Edit(w, func(h *toplevel.Host) { delete(h.Units, "broken.service") }, h.Name())
		})
		d := requireEnd(t, h, mended, proto.PhaseCommitted, "")
		if facts := requireOn(t, h, "after"); facts.Booted != facts.Current || h.Boots() != 5 {
			t.Errorf("booted %s, runs %s, booted %d times", facts.Booted, facts.Current, h.Boots())
		}
		requireBootDefault(t, h, d.Toplevel)
	})
}

// withoutVariables takes the boot loader's variables away from a system: nothing can
// be told to it.
func withoutVariables(h *toplevel.Host) {
	h.Activation = map[string]string{"variables": "umount /sys/firmware/efi/efivars || true"}
}

// requireBootDefault fails unless the loader has booted a system, as its default and
// not once.
func requireBootDefault(t *testing.T, h *fleet.Host, system proto.StorePath) {
	t.Helper()
	said, err := os.ReadFile(h.Console())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(said), "e2e-firmware: booting "+system.String()) || strings.Contains(string(said), " once") {
		t.Errorf("%s: want %s to be booted as the default; the console:\n%s", h.Name(), system, said)
	}
}

// panicsAtBoot ends every boot of a system before it has begun; a switch to it
// goes well.
func panicsAtBoot(h *toplevel.Host) {
	h.Activation = map[string]string{"panic": "[[ -d /run/systemd/system ]] || reboot -ff"}
}

// requireBack checks that the host is on the system that it was on, booted.
func requireBack(t *testing.T, h *fleet.Host, before fleet.Facts) {
	t.Helper()
	got := h.MustFacts(t)
	if got.Booted != before.Current {
		t.Errorf("%s: booted %s, want the proven system %s", h.Name(), got.Booted, before.Current)
	}
	before.Booted = got.Booted
	if got != before {
		t.Errorf("%s: %+v, want %+v", h.Name(), got, before)
	}
}

// requireSteps checks that the last deployment went through these phases, in
// this order.
func requireSteps(t *testing.T, h *fleet.Host, phases ...proto.Phase) {
	t.Helper()
	r, err := h.Record()
	if err != nil {
		t.Fatal(err)
	}
	var went []string
	for _, s := range r.History {
		if slices.Contains(phases, s.Phase) {
			went = append(went, string(s.Phase))
		}
	}
	var want []string
	for _, p := range phases {
		want = append(want, string(p))
	}
	if strings.Join(went, " ") != strings.Join(want, " ") {
		t.Errorf("%s went through %q, want %q", h.Name(), went, want)
	}
}
