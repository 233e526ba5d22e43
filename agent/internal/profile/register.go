package profile

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"kedge/internal/durable"
	"kedge/internal/nix"
	"kedge/proto"
)

// Register makes toplevel the newest generation of the system profile, and the
// profile name it. If the profile names it already, no generation is made.
// The store is on the disk before the profile changes; when it returns nil, the
// profile is, too.
func (s System) Register(ctx context.Context, toplevel proto.StorePath) (proto.Generation, error) {
	// Also when nothing will change: a run before this one may have died after it did.
	if err := s.syncAll(); err != nil {
		return 0, fmt.Errorf("register %s: %w", toplevel, err)
	}
	return s.point("register", toplevel, func() error { return s.Nix.SetProfile(ctx, s.path(), toplevel) })
}

// Restore makes the system profile name toplevel again: by generation number if
// that still is toplevel's, else by any other generation that is, else by a new
// one. Store and profile are on the disk when it returns nil: a disk that fails
// does not keep the profile from being pointed back.
func (s System) Restore(ctx context.Context, toplevel proto.StorePath, number proto.Generation) (proto.Generation, error) {
	g, err := s.point("restore", toplevel, func() error {
		all, err := nix.Generations(s.path())
		if err != nil {
			return err
		}
		if !slices.Contains(all, nix.Generation{Number: number, Path: toplevel}) {
			i := slices.IndexFunc(all, func(g nix.Generation) bool { return g.Path == toplevel })
			if i < 0 {
				return s.Nix.SetProfile(ctx, s.path(), toplevel)
			}
			number = all[i].Number
		}
		return s.Nix.SwitchGeneration(ctx, s.path(), number)
	})
	if err != nil {
		return 0, err
	}
	if err := s.syncAll(); err != nil { // also when nothing changed, likewise
		return 0, fmt.Errorf("restore %s: %w", toplevel, err)
	}
	return g, nil
}

// point makes the profile name toplevel by change, unless it does already, and
// returns the generation that does.
func (s System) point(what string, toplevel proto.StorePath, change func() error) (proto.Generation, error) {
	fail := func(err error) (proto.Generation, error) {
		return 0, fmt.Errorf("%s %s: %w", what, toplevel, err)
	}
	g, err := s.generation()
	if err != nil {
		return fail(err)
	}
	if g.Path != toplevel {
		if err := change(); err != nil {
			return fail(err)
		}
		if g, err = s.generation(); err != nil {
			return fail(err)
		}
		if g.Path != toplevel {
			return fail(fmt.Errorf("the profile then names %s; somebody else changes it", g.Path))
		}
	}
	return g.Number, nil
}

// syncAll makes the store durable, and the profile with Nix's database.
func (s System) syncAll() error { return s.sync(storeDir, filepath.Dir(systemLink)) }

// sync makes the file systems of dirs durable.
func (s System) sync(dirs ...string) error {
	sync := s.Sync
	if sync == nil {
		sync = durable.SyncFileSystems
	}
	for i, dir := range dirs {
		dirs[i] = filepath.Join(s.Root, dir)
	}
	return sync(dirs...)
}
