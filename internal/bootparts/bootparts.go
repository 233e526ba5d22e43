// Package bootparts tells which parts of a NixOS system take effect with a reboot
// only.
package bootparts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// paramsFile is the one part of what is booted that is no link.
const paramsFile = "kernel-params"

// names are what NixOS' own automatic upgrade compares, and the parameters.
func names() []string { return []string{"kernel", "initrd", "kernel-modules", paramsFile} }

// Changed returns the parts in which the toplevel at one path differs from that at
// another.
func Changed(from, to string) (parts []string, err error) {
	for _, name := range names() {
		have, err := part(from, name)
		if err != nil {
			return nil, err
		}
		want, err := part(to, name)
		if err != nil {
			return nil, err
		}
		if have != want {
			parts = append(parts, name)
		}
	}
	return parts, nil
}

// part returns what tells one part of a system from that of another; empty if it
// has none.
func part(system, name string) (text string, err error) {
	file := filepath.Join(system, name)
	if name == paramsFile {
		b, readErr := os.ReadFile(file)
		text, err = string(b), readErr
	} else {
		text, err = os.Readlink(file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("compare what is booted: %w", err)
	}
	return text, nil
}
