//go:build e2e

package rootfs

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"kedge/e2e/internal/mounts"
)

// TestIsolatedLeavesNothingMounted kills what has mounted something, as debootstrap does, in the middle of its work.
func TestIsolatedLeavesNothingMounted(t *testing.T) {
	dir := t.TempDir()
	argv := isolated("/proc", "sh", "-c", `mount -t proc proc "$0" && test -d "$0/$$" && echo mounted && sleep infinity`, dir)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, len("mounted\n"))
	if _, err := io.ReadFull(out, said); err != nil {
		t.Fatalf("it mounted nothing: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, out); err != nil { // which ends with the last that runs
		t.Error(err)
	}
	_ = cmd.Wait() // killed
	requireNotMounted(t, dir)
}

func TestRemoveOfWhatIsMounted(t *testing.T) {
	building := filepath.Join(t.TempDir(), "building")
	if err := os.MkdirAll(filepath.Join(building, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", filepath.Join(building, "proc"), "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := remove(building); err != nil {
		t.Error(err)
	}
	requireNotMounted(t, filepath.Join(building, "proc"))
	if ready(building) {
		t.Errorf("%s is still there", building)
	}
	if err := remove(building); err != nil {
		t.Errorf("remove of what is not there: %v", err)
	}
}

// requireNotMounted fails if something is mounted at the directory, after unmounting it.
func requireNotMounted(t *testing.T, dir string) {
	t.Helper()
	all, err := mounts.Read()
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(all, func(m mounts.Mount) bool { return m.At == dir }) {
		t.Errorf("something is mounted at %s", dir)
		if err := mounts.Detach(dir); err != nil {
			t.Error(err)
		}
	}
}
