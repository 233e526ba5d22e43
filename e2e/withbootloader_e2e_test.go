//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/e2e/vm"
	"kedge/proto"
)

// TestTrialBoot: trial boots with a real kernel, UEFI firmware and systemd-boot or
// GRUB, of which some panic or hang where nothing of Kedge runs yet. It takes longest: the
// last of the files' names lets it begin among the first, since go test lets tests that
// run side by side begin in the opposite order, but for a few.
func TestTrialBoot(t *testing.T) {
	t.Parallel()
	root, err := vm.Prepare(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	f := upWith(t, fleet.Options{
		Computers: []string{"sdboot", "grub"},
		Bootable:  root,
		GRUB:      []string{"grub"},
		Deadline:  4 * time.Minute, // where everything is emulated
		Config:    "policy: {reboot_needed: reboot}\nreboot: {require_protection: true}\n",
	})
	before := map[string]fleet.Facts{}
	for _, h := range f.Hosts() {
		h.MustAwaitView(t, "contact", func(v proto.HostView) bool { return v.Status != nil })
		before[h.Name()] = requireOn(t, h, "revision 0")
		requireEntry(t, h, before[h.Name()])
	}
	const firstPanics = "[[ -e /var/panicked ]] || { > /var/panicked; sync; " + panics + "; }"
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		fleet.Edit(w, func(h *toplevel.Host) { h.KernelParams += " after" }) // what needs a boot
		fleet.Edit(w, atBoot(firstPanics+"; echo '"+hangs+"' > /dev/console; sleep infinity"), "sdboot")
		fleet.Edit(w, atBoot(firstPanics), "grub")
		fleet.Edit(w, fleet.Config("log:", "activation: {specialisation: docked}\nlog:"), "grub")
		fleet.Edit(w, docked(fleet.App("docked")), "grub")
	})

	t.Run("with GRUB one that panics is tried again, as the entry of a specialisation that is booted once, and the default moves when it was good", func(t *testing.T) {
		h := f.Host("grub")
		requireTrialFailed(t, h)
		h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireEnd(t, h, rev, proto.PhaseCommitted, "")
		facts := requireDocked(t, h, "docked")
		if facts.Booted != facts.Current {
			t.Errorf("booted %s, runs %s", facts.Booted, facts.Current)
		}
		requireSays(t, "the kernel's command line", h.MustRun(t, "cat", "/proc/cmdline"), " init="+facts.Current+"/init ")
		requireConsole(t, h, map[string]int{"Kernel panic": 1})
		requireBoots(t, h, 3)
		h.MustRun(t, "systemctl", "--no-block", "reboot")
		h.MustAwaitBoots(t, 4)
		awaitSpecialised(t, h)
		again := requireDocked(t, h, "docked")
		if again.Booted != facts.Profile {
			t.Errorf("after another boot, of %s: %+v, want the base to have been booted", again.Booted, again)
		}
		requireEntry(t, h, again)
	})
	h := f.Host("sdboot")
	t.Run("one that panics, and then hangs, is tried twice, and quarantined", func(t *testing.T) {
		requireTrialFailed(t, h)
		h.MustAwaitPhase(t, rev, proto.PhaseRolledBack)
		d := requireEnd(t, h, rev, proto.PhaseRolledBack, proto.ReasonTrialBootFailed)
		facts := h.MustFacts(t)
		if facts != before[h.Name()] {
			t.Errorf("%+v, want it as it was: %+v", facts, before[h.Name()])
		}
		requireEntry(t, h, facts)
		requireSays(t, "the quarantine", h.MustRun(t, "cat", stateDir+"/quarantine.json"), d.Toplevel.String())
		requireCount(t, h, "nixos-generation-2+1-2.conf")
		requireConsole(t, h, map[string]int{"Kernel panic": 1, hangs: 1})
		requireBoots(t, h, 3)
	})
	t.Run("a good one commits, and the boot default moves", func(t *testing.T) {
		rev := f.MustPush(t, "mended", func(w *toplevel.Fleet) {
			fleet.Edit(w, func(h *toplevel.Host) { h.Activation = nil }, h.Name())
		})
		requireEnd(t, h, rev, proto.PhaseCommitted, "")
		facts := requireOn(t, h, "after")
		if facts.Booted != facts.Current || facts.Booted == before[h.Name()].Booted {
			t.Errorf("booted %s, runs %s, booted %s before", facts.Booted, facts.Current, before[h.Name()].Booted)
		}
		requireEntry(t, h, facts)
		if said := h.MustRun(t, "cat", "/proc/cmdline"); !strings.HasSuffix(said, " after\n") {
			t.Errorf("the kernel was started with %q", said)
		}
		requireSays(t, "what systemd said before the judgement", h.MustRun(t, "journalctl", "--boot", "--unit=boot-complete.target"), "asserts failed")
		requireCount(t, h, entryOf(t, facts)) // good for good
		requireBoots(t, h, 4)
		h.MustRun(t, "systemctl", "--no-block", "reboot")
		h.MustAwaitBoots(t, 5)
		if again := requireOn(t, h, "after"); again != facts {
			t.Errorf("after another boot: %+v, want %+v", again, facts)
		}
		requireEntry(t, h, facts)
	})
}

const (
	hangs  = "it hangs from here on" // what a system says before it does
	panics = "echo c > /proc/sysrq-trigger"
)

// atBoot runs a script in every boot of a system before its systemd does; a
// switch to it goes well.
func atBoot(script string) func(h *toplevel.Host) {
	return func(h *toplevel.Host) {
		h.Activation = map[string]string{"boot": "[[ -d /run/systemd/system ]] || { " + script + "; }"}
	}
}

// requireEntry checks that the loader has booted the generation that the system
// profile is, and will boot nothing else once.
func requireEntry(t *testing.T, h *fleet.Host, f fleet.Facts) {
	t.Helper()
	if h.GRUB() {
		requireSays(t, "the kernel's command line", h.MustRun(t, "cat", "/proc/cmdline"), "BOOT_IMAGE=(hd0,gpt2)/nix/store/", " init="+f.Profile+"/init ")
		if env, err := h.Run(t.Context(), "cat", "/boot/grub/grubenv"); err == nil && strings.Contains(env, "next_entry=NixOS") {
			t.Errorf("%s: GRUB boots something once: %q", h.Name(), env)
		}
		return
	}
	got, err := h.Computer().Entry(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := entryOf(t, f); got != want {
		t.Errorf("%s: the loader has booted %q, want %q", h.Name(), got, want)
	}
}

// entryOf returns the name that systemd-boot's entry of the system profile's generation has
// when its boots are not counted any more.
func entryOf(t *testing.T, f fleet.Facts) string {
	t.Helper()
	var generation int
	if _, err := fmt.Sscanf(f.Generation, "system-%d-link", &generation); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("nixos-generation-%d.conf", generation)
}

// requireTrialFailed waits until a trial boot has failed, for a first time.
func requireTrialFailed(t *testing.T, h *fleet.Host) {
	t.Helper()
	h.MustAwaitEvent(t, "the first failure", func(e proto.Event) bool {
		return e.Phase == proto.PhaseInconclusive && e.Reason == proto.ReasonTrialBootFailed
	})
}

// requireConsole checks how often the host's console said these things.
func requireConsole(t *testing.T, h *fleet.Host, says map[string]int) {
	t.Helper()
	console, err := os.ReadFile(h.Computer().Console())
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range says {
		if got := strings.Count(string(console), what); got != want {
			t.Errorf("the console of %s said %q %d times, want %d", h.Name(), what, got, want)
		}
	}
}

// requireCount waits until this entry is there, with the loader's count of its boots
// in its name, beside one of the first generation that has no count any more.
func requireCount(t *testing.T, h *fleet.Host, entry string) {
	t.Helper()
	const await = "cd /boot/loader/entries && until [ -e \"$0\" ] && [ -e nixos-generation-1.conf ]; do sleep 0.2; done"
	h.MustRun(t, "sh", "-c", await, entry)
}

// requireBoots checks how often the host's systemd has come up.
func requireBoots(t *testing.T, h *fleet.Host, want int) {
	t.Helper()
	if got := h.Computer().Boots(); got != want {
		t.Errorf("%s: systemd came up %d times, want %d", h.Name(), got, want)
	}
}
