// Package profile reads which systems a host runs, was booted with and has
// registered, and registers one.
//
// It is NixOS' own system profile, so that boot loaders, garbage collection
// and people see our systems as they see any other.
package profile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"kedge/internal/nix"
	"kedge/proto"
)

// The links of a host, below its root.
const (
	currentLink = "/run/current-system"
	bootedLink  = "/run/booted-system"
	systemLink  = "/nix/var/nix/profiles/system"
	storeDir    = "/nix/store"
)

// A Setter changes profiles; nix.Links is one. The link is changed atomically, and
// is on the disk when it returns nil; what was deleted need not be gone from it yet.
type Setter interface {
	SetProfile(ctx context.Context, profile string, path proto.StorePath) error
	SwitchGeneration(ctx context.Context, profile string, number proto.Generation) error
	DeleteGenerations(ctx context.Context, profile string, numbers ...proto.Generation) error
}

// A System is one host's systems.
type System struct {
	// Root is the directory that everything is looked for in; empty is /.
	Root string
	// Nix changes the profile. Required, but by Systems.
	Nix Setter
	// Sync makes durable what was written to the file systems that directories are
	// on; defaults to syncfs(2).
	Sync func(dirs ...string) error
}

// A LinkError says that a link of the host names something that is not a
// toplevel, or no generation of the profile: somebody put it there by hand.
type LinkError struct {
	Link string
	Err  error
}

// Error implements error.
func (e *LinkError) Error() string {
	return fmt.Sprintf("%s does not name a system's toplevel: %v", e.Link, e.Err)
}

// Unwrap returns what is wrong with it.
func (e *LinkError) Unwrap() error { return e.Err }

// Systems returns what runs, what was booted, and what the profile names, as
// they are now. A link that does not exist leaves its field zero; one that
// names no toplevel is a [*LinkError], but for what was booted: nothing depends
// on that being a toplevel, and it stays until the next boot. What was proven is
// not for this package to say.
func (s System) Systems() (proto.Systems, error) {
	current, err := s.toplevel(currentLink)
	if err != nil {
		return proto.Systems{}, err
	}
	booted, err := s.toplevel(bootedLink)
	if _, foreign := errors.AsType[*LinkError](err); err != nil && !foreign {
		return proto.Systems{}, err
	}
	g, err := s.generation()
	if err != nil {
		return proto.Systems{}, err
	}
	return proto.Systems{
		Current: current, Booted: booted, Profile: g.Path, Generation: g.Number, Specialisation: s.specialisationOf(g.Path, current),
	}, nil
}

func (s System) toplevel(link string) (proto.StorePath, error) {
	link = filepath.Join(s.Root, link)
	target, err := os.Readlink(link)
	if errors.Is(err, fs.ErrNotExist) {
		return proto.StorePath{}, nil
	}
	if err != nil {
		return proto.StorePath{}, fmt.Errorf("read %s: %w", link, err)
	}
	p, err := proto.ParseStorePath(target)
	if err != nil {
		return proto.StorePath{}, &LinkError{Link: link, Err: err}
	}
	return p, nil
}

// generation returns the profile's current generation; zero if there is no
// profile.
func (s System) generation() (nix.Generation, error) {
	g, err := nix.CurrentGeneration(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nix.Generation{}, nil
	}
	if _, unread := errors.AsType[*fs.PathError](err); err != nil && !unread {
		return nix.Generation{}, &LinkError{Link: s.path(), Err: err}
	}
	return g, err
}

// Registered returns what the generation of that number is; zero if there is
// none.
func (s System) Registered(number proto.Generation) (proto.StorePath, error) {
	all, err := nix.Generations(s.path())
	if err != nil {
		return proto.StorePath{}, err
	}
	i := slices.IndexFunc(all, func(g nix.Generation) bool { return g.Number == number })
	if i < 0 {
		return proto.StorePath{}, nil
	}
	return all[i].Path, nil
}

func (s System) path() string { return filepath.Join(s.Root, systemLink) }
