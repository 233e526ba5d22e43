//go:build e2e

package e2e_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// What fits on the host's disk, and what does not any more.
const (
	diskBytes = 400 << 20
	freeBytes = 40 << 20 // the big one itself would fit, but leave too little
	bigBytes  = 24 << 20
	bootBytes = 256 << 10 // a kernel and its initrd would fit, but leave too little
)

// TestTransactionDiskFull: a system for which there is no room is not deployed, not even
// downloaded, and the host runs on; once there is room, it is.
func TestTransactionDiskFull(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"web1"}, DiskBytes: diskBytes})
	h := f.Host("web1")
	commit(t, f, "small", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("small")) })
	before := requireOn(t, h, "small")
	big := addBig(t, f)
	fill(t, h)

	store := h.MustRun(t, "ls", "/nix/store")

	rev := f.MustPush(t, "big", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("big"))
		fleet.Edit(w, func(h *toplevel.Host) { h.Packages = append(h.Packages, big) })
	})
	d := requireEnd(t, h, rev, proto.PhaseFailed, proto.ReasonDiskFull)
	requireSays(t, "the end", d.Message, "it needs", "MiB free", "missing in the store")
	requireSame(t, h, before)
	if after := h.MustRun(t, "ls", "/nix/store"); after != store {
		t.Errorf("something was downloaded: the store has\n%s\nand had\n%s", after, store)
	}

	h.MustRun(t, "rm", "/var/filled")
	f.MustKedge(t, "reconcile", "web1")
	h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	before = requireOn(t, h, "big")
	testBootFull(t, f, h, before)
}

// testBootFull: a system with another kernel is not deployed as long as the boot
// partition is read-only, or too small; afterwards it is, and the host says that
// it waits for a reboot.
func testBootFull(t *testing.T, f *fleet.Fleet, h *fleet.Host, before fleet.Facts) {
	h.MustRun(t, "mount", "-t", "tmpfs", "-o", "ro,size="+strconv.Itoa(bootBytes), "tmpfs", "/boot")
	rev := f.MustPush(t, "kernel", func(w *toplevel.Fleet) {
		fleet.Edit(w, func(h *toplevel.Host) { h.KernelVersion = "6.12.99" })
	})
	requireEnd(t, h, rev, proto.PhaseFailed, proto.ReasonReadOnly)

	h.MustRun(t, "mount", "-o", "remount,rw", "/boot")
	f.MustKedge(t, "reconcile", h.Name())
	v := h.MustAwaitView(t, "the boot partition to be too small", func(v proto.HostView) bool {
		return v.Status != nil && v.Status.Deployment.Revision == rev && v.Status.Deployment.Reason == proto.ReasonDiskFull
	})
	requireSays(t, "the end", v.Status.Deployment.Message, "boot partition", "KiB free")
	h.MustRun(t, "umount", "/boot")
	requireSame(t, h, before)

	f.MustKedge(t, "reconcile", h.Name())
	h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, h, "big")
	awaitReason(t, h, proto.ConditionRebootNeeded, proto.StatusTrue, proto.ReasonRebootNeeded)
	requireSays(t, "kedge status", f.MustKedge(t, "status"), "reboot-needed: with a reboot only: kernel, initrd")
	testBootFilled(t, f, h)
}

// testBootFilled: a boot partition that is full by the time of the commit keeps the new
// system from being registered, and not the proven one from being booted.
func testBootFilled(t *testing.T, f *fleet.Fleet, h *fleet.Host) {
	h.MustRun(t, "mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "/boot")
	h.MustRun(t, "/run/current-system/bin/switch-to-configuration", "boot")
	before, profiles := requireOn(t, h, "big"), h.MustRun(t, "ls", "/nix/var/nix/profiles")
	rev := f.MustPush(t, "another kernel", func(w *toplevel.Fleet) {
		fleet.Edit(w, func(h *toplevel.Host) { h.KernelVersion = "6.12.100" })
	})
	h.MustAwaitRecord(t, "the probation", func(r fleet.Record) bool { return r.Revision == rev && r.Phase == proto.PhaseProbation })
	// Two pages are too few for a kernel, an initrd and an entry, and enough without them.
	h.MustRun(t, "sh", "-c", `fallocate --length $(($(df --output=avail --block-size=1 /boot | tail -n 1) - 8192)) /boot/filled`)
	requireEnd(t, h, rev, proto.PhaseRolledBack, proto.ReasonRegisterFailed)
	requireSame(t, h, before)
	if after := h.MustRun(t, "ls", "/nix/var/nix/profiles"); after != profiles {
		t.Errorf("the profile has\n%s\nand had\n%s", after, profiles)
	}
	if boots := strings.TrimSpace(h.MustRun(t, "cat", "/boot/loader/default")); boots != before.Profile {
		t.Errorf("%s would be booted, want %s", boots, before.Profile)
	}
	h.MustRun(t, "umount", "/boot")
}

// fill leaves freeBytes of the host's disk.
func fill(t *testing.T, h *fleet.Host) {
	t.Helper()
	h.MustRun(t, "sh", "-c", `fallocate --length $(($(df --output=avail --block-size=1 /nix/store | tail -n 1) - $1)) /var/filled`, "fill", strconv.Itoa(freeBytes))
}

// addBig puts a package that does not compress into the build host's store.
func addBig(t *testing.T, f *fleet.Fleet) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "big")
	content := make([]byte, bigBytes)
	_, _ = rand.Read(content) // never fails
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "big"), content, 0o755); err != nil {
		t.Fatal(err)
	}
	path, err := f.AddToStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
