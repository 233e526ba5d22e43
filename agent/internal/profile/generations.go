package profile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kedge/internal/nix"
	"kedge/proto"
)

// Generations returns those of the system profile, oldest first.
func (s System) Generations() ([]nix.Generation, error) { return nix.Generations(s.path()) }

// InUse returns the systems of those generations that run or were booted, or
// that have the specialisation that does or was.
func (s System) InUse(all []nix.Generation) (used []proto.StorePath, err error) {
	for _, link := range []string{currentLink, bootedLink} {
		target, err := os.Readlink(filepath.Join(s.Root, link))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for what is in use: %w", err)
		}
		for _, g := range all {
			if s.has(g.Path, target) && !slices.Contains(used, g.Path) {
				used = append(used, g.Path)
			}
		}
	}
	return used, nil
}

// has reports whether target is the system, or one of its specialisations, which
// are links in it to systems of their own.
func (s System) has(system proto.StorePath, target string) bool {
	if target == system.String() || strings.HasPrefix(target, system.String()+"/") {
		return true
	}
	special, err := proto.ParseStorePath(target)
	return err == nil && s.specialisationOf(system, special) != ""
}

// DeleteGenerations deletes those of the system profile, at least one, durably.
// The current one is never deleted: that is an error.
func (s System) DeleteGenerations(ctx context.Context, numbers ...proto.Generation) error {
	if err := s.Nix.DeleteGenerations(ctx, s.path(), numbers...); err != nil {
		return err
	}
	return s.sync(filepath.Dir(systemLink))
}

// Drop deletes the newest generation, durably, if it is toplevel's and not the current
// one. Else nothing changes.
func (s System) Drop(ctx context.Context, toplevel proto.StorePath) error {
	all, err := s.Generations()
	if err != nil || len(all) == 0 {
		return err
	}
	current, err := s.generation()
	if err != nil {
		return err
	}
	newest := all[len(all)-1]
	if newest.Path != toplevel || newest.Number == current.Number {
		return nil
	}
	return s.DeleteGenerations(ctx, newest.Number)
}

// Raise makes toplevel the newest generation, but for one of above, and the profile name
// it, durably. If it is that already, nothing changes.
func (s System) Raise(ctx context.Context, toplevel, above proto.StorePath) error {
	all, err := s.Generations()
	if err != nil {
		return fmt.Errorf("raise %s: %w", toplevel, err)
	}
	if n := len(all); n > 0 && all[n-1].Path == above {
		all = all[:n-1]
	}
	if n := len(all); n > 0 && all[n-1].Path == toplevel {
		return nil
	}
	if err := s.Nix.SetProfile(ctx, s.path(), toplevel); err != nil {
		return fmt.Errorf("raise %s: %w", toplevel, err)
	}
	return nil
}
