package statefile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"kedge/internal/durable"
)

// reserveFile begins the names of what takes up room on the disk for the day on
// which somebody else, such as a new system that writes too much, has filled it: the
// way back has to be recorded before it is gone.
const reserveFile = "reserve"

// Together the pieces are enough for a few writes of every document. There are several
// as a file that is new keeps the inode that it gets.
const (
	reservePieces = 4
	reservePiece  = 64 << 10
)

// reserve makes the pieces of the reserve that are missing.
func (d Dir) reserve() {
	for _, path := range d.pieces() {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		room := make([]byte, reservePiece)
		_, _ = rand.Read(room) // it never fails; what can be compressed takes no room
		// Where it cannot be made one goes on without: it is for later.
		_ = durable.WriteFile(path, room, contactPerm)
	}
}

func (d Dir) pieces() []string {
	paths := make([]string, reservePieces)
	for i := range paths {
		paths[i] = filepath.Join(d.State, reserveFile+strconv.Itoa(i+1))
	}
	return paths
}

// WithReserve runs write, which can be repeated, and again with ever less of the reserve
// for as long as the disk is full. What it gave up in vain, as it is another disk that
// is full, it takes back; the next [Dir.Prepare] makes anew what helped.
func (d Dir) WithReserve(write func() error) error {
	err := write()
	for _, path := range d.pieces() {
		if !isFull(err) {
			return err
		}
		if removeErr := durable.Remove(path); removeErr != nil {
			return errors.Join(err, removeErr)
		}
		err = write()
	}
	if isFull(err) {
		d.reserve()
	}
	return err
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
