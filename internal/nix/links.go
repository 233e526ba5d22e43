package nix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"kedge/internal/durable"
	"kedge/proto"
)

// Links changes profiles, which are links, as nix-env does, and runs nothing.
// Each change is made under the lock that Nix's commands take for theirs; how
// long it is waited for is bounded by the context alone.
type Links struct {
	// Root is the directory that the store's paths are looked for in; empty is /.
	Root string
}

// SetProfile makes path, which is valid and which a root keeps, the current
// generation of the profile (the path of the link, such as
// /nix/var/nix/profiles/system). As with nix-env --set it makes a new generation
// unless path is what the newest one names; then that becomes the current one.
// A path that is not there is an error, and changes nothing. The links are on the
// disk when it returns nil.
func (l Links) SetProfile(ctx context.Context, profile string, path proto.StorePath) error {
	if _, err := os.Lstat(filepath.Join(l.Root, path.String())); err != nil {
		return fmt.Errorf("set profile %s: %w", profile, err)
	}
	return whileLocked(ctx, profile, func() error {
		sweep(profile)
		numbers, err := generationNumbers(profile)
		if err != nil {
			return err
		}
		var newest proto.Generation
		var target string
		if len(numbers) > 0 {
			newest = numbers[len(numbers)-1]
			if target, err = os.Readlink(generationLink(profile, newest)); err != nil {
				return err
			}
		}
		if target != path.String() {
			newest++
			if err := durable.Symlink(path.String(), generationLink(profile, newest)); err != nil {
				return err
			}
		}
		return pointTo(profile, newest)
	})
}

// SwitchGeneration makes the generation with that number the current one of the
// profile, as nix-env --switch-generation does. If there is none, the error wraps
// fs.ErrNotExist. It is as durable as [Links.SetProfile].
func (Links) SwitchGeneration(ctx context.Context, profile string, number proto.Generation) error {
	return whileLocked(ctx, profile, func() error {
		if _, err := os.Lstat(generationLink(profile, number)); err != nil {
			return err
		}
		return pointTo(profile, number)
	})
}

// DeleteGenerations deletes the generations with those numbers, at least one,
// of the profile. What is not there is deleted already; the current one is an
// error, and then none is deleted. What they name stays until garbage is
// collected. The caller syncs the profile.
func (Links) DeleteGenerations(ctx context.Context, profile string, numbers ...proto.Generation) error {
	if len(numbers) == 0 {
		return errors.New("delete generations: none given") // as nix-env, which would not mean none by it
	}
	return whileLocked(ctx, profile, func() error {
		current, err := CurrentGeneration(profile)
		if err != nil {
			return err
		}
		if slices.Contains(numbers, current.Number) {
			return fmt.Errorf("generation %d is the current one", current.Number)
		}
		for _, n := range numbers {
			if err := os.Remove(generationLink(profile, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// pointTo makes the profile name a generation. Its target is relative, so that
// it is right from outside of a chroot, too.
func pointTo(profile string, number proto.Generation) error {
	return durable.Symlink(filepath.Base(generationLink(profile, number)), profile)
}

// sweep removes links that a crash kept from being put in place: each is a root of a
// system that nobody knows of. The lock is held, so none is about to be. What cannot be
// removed stays for the next time.
func sweep(profile string) {
	dir := filepath.Dir(profile)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		link, left := durable.Leftover(e.Name())
		_, ours := generationNumber(profile, filepath.Join(dir, link))
		if left && e.Type() == fs.ModeSymlink && (ours || link == filepath.Base(profile)) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
