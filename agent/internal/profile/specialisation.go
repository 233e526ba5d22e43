package profile

import (
	"fmt"
	"os"
	"path/filepath"

	"kedge/proto"
)

// specialisations is where a system has its own, each a link to a system.
const specialisations = "specialisation"

// Specialisation returns the system that toplevel, which is present, has as its
// specialisation of that name. A specialisation has none itself.
func (s System) Specialisation(toplevel proto.StorePath, name string) (proto.StorePath, error) {
	target, err := os.Readlink(filepath.Join(s.Root, toplevel.String(), specialisations, name))
	if err != nil {
		return proto.StorePath{}, fmt.Errorf("find specialisation %q of %s: %w", name, toplevel, err)
	}
	p, err := proto.ParseStorePath(target)
	if err != nil {
		return proto.StorePath{}, fmt.Errorf("find specialisation %q of %s: %w", name, toplevel, err)
	}
	return p, nil
}

// specialisationOf returns the name of the specialisation of toplevel that system
// is; empty if it is none.
func (s System) specialisationOf(toplevel, system proto.StorePath) string {
	if toplevel.IsZero() || system.IsZero() || system == toplevel {
		return ""
	}
	dir := filepath.Join(s.Root, toplevel.String(), specialisations)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "" // it has none
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && target == system.String() {
			return e.Name()
		}
	}
	return ""
}
