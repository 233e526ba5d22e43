package profile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/internal/bootparts"
	"kedge/proto"
)

// RebootFor returns which parts of toplevel, which is present, the host would
// run with a reboot only; see [System.RebootPending].
func (s System) RebootFor(toplevel proto.StorePath) ([]string, error) {
	return s.unlikeBooted(filepath.Join(s.Root, toplevel.String()))
}

// RebootPending returns which parts of the running system take effect with a
// reboot only: they differ from those that were booted. A host that was booted
// without any, such as a container, waits for none.
func (s System) RebootPending() ([]string, error) {
	return s.unlikeBooted(filepath.Join(s.Root, currentLink))
}

func (s System) unlikeBooted(system string) (parts []string, err error) {
	booted := filepath.Join(s.Root, bootedLink)
	if _, err := os.Lstat(booted); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return bootparts.Changed(booted, system)
}
