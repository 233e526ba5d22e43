package statefile

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheReserveIsGivenUpForWhatMustBeWritten(t *testing.T) {
	d := newDir(t)
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	reserve := filepath.Join(d.State, reserveFile)
	room := func() int64 {
		info, err := os.Stat(reserve)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	if room() != reserveSize {
		t.Fatalf("%d bytes are reserved, want %d", room(), reserveSize)
	}
	full := func() error {
		if room() > 0 {
			return fmt.Errorf("write: %w", unix.ENOSPC)
		}
		return nil
	}
	if err := d.write(func() error { return nil }); err != nil || room() == 0 {
		t.Errorf("write on a disk with room = %v, reserve of %d bytes", err, room())
	}
	if err := d.write(full); err != nil || room() != 0 {
		t.Errorf("write on a full disk = %v, reserve of %d bytes; want it given up", err, room())
	}
	if err := d.write(func() error { return unix.ENOSPC }); err == nil {
		t.Error("a disk that is full without the reserve: no error")
	}
	if err := d.Prepare(); err != nil || room() != reserveSize {
		t.Errorf("Prepare = %v, reserve of %d bytes; want it back", err, room())
	}
}
