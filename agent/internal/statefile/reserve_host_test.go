//go:build host

package statefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"kedge/proto"
)

// TestAFloorIsSavedOnAFullDisk: a withdrawal is remembered there, too.
func TestAFloorIsSavedOnAFullDisk(t *testing.T) {
	d := Dir{State: t.TempDir(), Runtime: t.TempDir()}
	if err := unix.Mount("tmpfs", d.State, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(d.State, 0); err != nil {
			t.Error(err)
		}
	})
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.State, "full"), make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("error = %v, want that the disk is full", err)
	}
	if err := d.SaveFloor(proto.Floor{Serial: 7}); err != nil {
		t.Error(err)
	}
	if f, err := d.PeekFloor(); err != nil || f.Serial != 7 {
		t.Errorf("got %+v, %v", f, err)
	}
}
