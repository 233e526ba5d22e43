package statefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/proto"
)

// Floor returns what was accepted so far. Where there is no file it makes one: on
// a first start one that accepts anything; on a host that has run before, whose
// file was lost, one that accepts nothing until a [proto.Reset] names its
// challenge.
func (d Dir) Floor() (proto.Floor, error) {
	f, err := d.floor().Read()
	switch {
	case err == nil:
		return f, nil
	case !errors.Is(err, fs.ErrNotExist):
		return f, fmt.Errorf("state: %w", err)
	}
	ran, err := d.hasRun()
	if err != nil {
		return proto.Floor{}, fmt.Errorf("state: %w", err)
	}
	if ran {
		f.Challenge = rand.Text()
	}
	if err := d.SaveFloor(f); err != nil {
		return proto.Floor{}, fmt.Errorf("state: %w", err)
	}
	return f, nil
}

// PeekFloor is Floor for who only looks: it makes nothing.
func (d Dir) PeekFloor() (proto.Floor, error) {
	return read(d.floor())
}

// SaveFloor replaces the floor durably.
func (d Dir) SaveFloor(f proto.Floor) error {
	return d.WithReserve(func() error { return document[proto.Floor](d, floorFile).Write(f) })
}

// hasRun reports whether an agent has left anything that it writes after its floor.
func (d Dir) hasRun() (bool, error) {
	for _, name := range []string{DeploymentFile, provenFile, quarantineFile, historyFile} {
		_, err := os.Lstat(filepath.Join(d.State, name))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return false, nil
}
