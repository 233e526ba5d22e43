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
		Computers: []string{"good", "bad", "grub"},
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
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		fleet.Edit(w, func(h *toplevel.Host) { h.KernelParams += " after" }) // what needs a boot
		fleet.Edit(w, atBoot(panics), "grub")
		fleet.Edit(w, atBoot("if [[ -e /var/panicked ]]; then echo '"+hangs+"' > /dev/console; sleep infinity; fi; > /var/panicked; sync; "+panics), "bad")
	})

	t.Run("a good one commits, and the boot default moves", func(t *testing.T) {
		h := f.Host("good")
		requireEnd(t, h, rev, proto.PhaseCommitted, "")
		facts := requireOn(t, h, "after")
		if facts.Booted != facts.Current || facts.Booted == before["good"].Booted {
			t.Errorf("booted %s, runs %s, booted %s before", facts.Booted, facts.Current, before["good"].Booted)
		}
		requireEntry(t, h, facts)
		if said := h.MustRun(t, "cat", "/proc/cmdline"); !strings.HasSuffix(said, " after\n") {
			t.Errorf("the kernel was started with %q", said)
		}
		requireBoots(t, h, 2)
		requireSays(t, "what systemd said before the judgement", h.MustRun(t, "journalctl", "--boot", "--unit=boot-complete.target"), "asserts failed")
		requireCount(t, h, "nixos-generation-2.conf") // good for good
		h.MustRun(t, "systemctl", "--no-block", "reboot")
		h.MustAwaitBoots(t, 3)
		if again := requireOn(t, h, "after"); again != facts {
			t.Errorf("after another boot: %+v, want %+v", again, facts)
		}
		requireEntry(t, h, facts)
	})
	for name, says := range map[string]map[string]int{"bad": {"Kernel panic": 1, hangs: 1}, "grub": {"Kernel panic": 2}} {
		t.Run(fmt.Sprintf("one that says %v on %s is tried twice, and quarantined", says, name), func(t *testing.T) {
			h := f.Host(name)
			h.MustAwaitEvent(t, "the first failure", func(e proto.Event) bool {
				return e.Phase == proto.PhaseInconclusive && e.Reason == proto.ReasonTrialBootFailed
			})
			h.MustAwaitPhase(t, rev, proto.PhaseRolledBack)
			d := requireEnd(t, h, rev, proto.PhaseRolledBack, proto.ReasonTrialBootFailed)
			facts := h.MustFacts(t)
			if facts != before[name] {
				t.Errorf("%+v, want it as it was: %+v", facts, before[name])
			}
			requireEntry(t, h, facts)
			requireSays(t, "the quarantine", h.MustRun(t, "cat", stateDir+"/quarantine.json"), d.Toplevel.String())
			requireBoots(t, h, 3)
			if !h.GRUB() {
				requireCount(t, h, "nixos-generation-2+1-2.conf")
			}
			console, err := os.ReadFile(h.Computer().Console())
			if err != nil {
				t.Fatal(err)
			}
			for what, want := range says {
				if got := strings.Count(string(console), what); got != want {
					t.Errorf("the console said %q %d times, want %d", what, got, want)
				}
			}
		})
	}
	t.Run("GRUB boots the entry of a specialisation once, and its default moves, too, when a good one commits", func(t *testing.T) {
		h := f.Host("grub")
		rev := f.MustPush(t, "mended", func(w *toplevel.Fleet) {
			fleet.Edit(w, func(h *toplevel.Host) { h.Activation = nil }, h.Name())
			fleet.Edit(w, fleet.Config("log:", "activation: {specialisation: docked}\nlog:"), h.Name())
			fleet.Edit(w, docked(fleet.App("docked")), h.Name())
		})
		requireEnd(t, h, rev, proto.PhaseCommitted, "")
		facts := requireDocked(t, h, "docked")
		if facts.Booted != facts.Current {
			t.Errorf("booted %s, runs %s", facts.Booted, facts.Current)
		}
		requireSays(t, "the kernel's command line", h.MustRun(t, "cat", "/proc/cmdline"), " init="+facts.Current+"/init ")
		requireBoots(t, h, 4)
		h.MustRun(t, "systemctl", "--no-block", "reboot")
		h.MustAwaitBoots(t, 5)
		awaitSpecialised(t, h)
		again := requireDocked(t, h, "docked")
		if again.Booted != facts.Profile {
			t.Errorf("after another boot, of %s: %+v, want the base to have been booted", again.Booted, again)
		}
		requireEntry(t, h, again)
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
	var generation int
	if _, err := fmt.Sscanf(f.Generation, "system-%d-link", &generation); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("nixos-generation-%d.conf", generation); got != want {
		t.Errorf("%s: the loader has booted %q, want %q", h.Name(), got, want)
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
