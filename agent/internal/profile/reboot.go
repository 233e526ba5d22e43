package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/proto"
)

// paramsFile is the one part of what is booted that is no link.
const paramsFile = "kernel-params"

// bootParts returns the names of what takes effect at a boot only: what NixOS'
// own automatic upgrade compares, and the parameters.
func bootParts() []string { return []string{"kernel", "initrd", "kernel-modules", paramsFile} }

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
	for _, name := range bootParts() {
		have, err := bootPart(booted, name)
		if err != nil {
			return nil, err
		}
		want, err := bootPart(system, name)
		if err != nil {
			return nil, err
		}
		if have != want {
			parts = append(parts, name)
		}
	}
	return parts, nil
}

// bootPart returns what tells one part of a system from that of another; empty
// if it has none.
func bootPart(system, name string) (text string, err error) {
	file := filepath.Join(system, name)
	if name == paramsFile {
		b, readErr := os.ReadFile(file)
		text, err = string(b), readErr
	} else {
		text, err = os.Readlink(file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("compare with the booted system: %w", err)
	}
	return text, nil
}
