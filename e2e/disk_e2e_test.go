//go:build e2e

package e2e_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// What fits on the host's disk, and what does not any more.
const (
	diskBytes = 400 << 20
	freeBytes = 6 << 20
	bigBytes  = 24 << 20
)

// TestDiskFull: a system for which there is no room is not deployed, and the
// host runs on; once there is room, it is.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"web1"}, DiskBytes: diskBytes})
	h := f.Host("web1")
	commit(t, f, "small", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("small")) })
	before := requireOn(t, h, "small")
	big := addBig(t, f)
	h.MustRun(t, "sh", "-c", `fallocate --length $(($(df --output=avail --block-size=1 /nix/store | tail -n 1) - $1)) /var/filled`, "fill", strconv.Itoa(freeBytes))

	rev := f.MustPush(t, "big", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("big"))
		fleet.Edit(w, func(h *toplevel.Host) { h.Packages = append(h.Packages, big) })
	})
	requireEnd(t, h, rev, proto.PhaseFailed, proto.ReasonDiskFull)
	requireSame(t, h, before)

	h.MustRun(t, "rm", "/var/filled")
	f.MustKedge(t, "reconcile", "web1")
	h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, h, "big")
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
