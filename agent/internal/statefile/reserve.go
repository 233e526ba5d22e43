package statefile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kedge/internal/durable"
)

// reserveFile takes up room on the disk for the day on which somebody else, such
// as a new system that writes too much, has filled it: the way back has to be
// recorded before it is gone.
const reserveFile = "reserve"

// reserveSize is enough for a few writes of every document.
const reserveSize = 256 << 10

// reserve makes the reserve if it is missing.
func (d Dir) reserve() {
	path := filepath.Join(d.State, reserveFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	room := make([]byte, reserveSize)
	_, _ = rand.Read(room) // it never fails; what can be compressed takes no room
	// Where it cannot be made one goes on without: it is for later.
	_ = durable.WriteFile(path, room, contactPerm)
}

// write runs write, and once more without the reserve if the disk is full. The
// next [Dir.Prepare] makes the reserve anew.
func (d Dir) write(write func() error) error {
	err := write()
	if !isFull(err) {
		return err
	}
	if removeErr := durable.Remove(filepath.Join(d.State, reserveFile)); removeErr != nil {
		return errors.Join(err, removeErr)
	}
	return write()
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
