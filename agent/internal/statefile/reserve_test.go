package statefile

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheReserveIsGivenUpForWhatMustBeWritten(t *testing.T) {
	d := newDir(t)
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	room := func() (all int64) {
		for _, path := range d.pieces() {
			if info, err := os.Stat(path); err == nil {
				all += info.Size()
			}
		}
		return all
	}
	const whole = reservePieces * reservePiece
	if room() != whole {
		t.Fatalf("%d bytes are reserved, want %d", room(), whole)
	}
	least := int64(whole - reservePiece)
	full := func() error {
		if room() > least {
			return fmt.Errorf("write: %w", unix.ENOSPC)
		}
		return nil
	}
	if err := d.WithReserve(func() error { return nil }); err != nil || room() == 0 {
		t.Errorf("write on a disk with room = %v, reserve of %d bytes", err, room())
	}
	if err := d.WithReserve(full); err != nil || room() != least {
		t.Errorf("write on a full disk = %v, reserve of %d bytes; want a piece of it given up", err, room())
	}
	least = 0
	if err := d.WithReserve(full); err != nil || room() != 0 {
		t.Errorf("write on a disk that is fuller = %v, reserve of %d bytes; want all of it given up", err, room())
	}
	if err := d.Prepare(); err != nil || room() != whole {
		t.Errorf("Prepare = %v, reserve of %d bytes; want it back", err, room())
	}
	if err := d.WithReserve(func() error { return unix.ENOSPC }); !errors.Is(err, unix.ENOSPC) || room() != whole {
		t.Errorf("write on another disk = %v, reserve of %d bytes; want it taken back", err, room())
	}
}
