package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"kedge/internal/nix"
	"kedge/proto"
)

// Root keeps toplevel, and all that it needs, from being collected, whether it
// is there already or not. The link is named after the toplevel, so that doing
// it again only makes it the newest one of its host.
//
// The link is not synced: a root that is lost with the power costs a build, at
// worst.
func (b *Builder) Root(host proto.HostName, toplevel proto.StorePath) error {
	b.rooting.Lock()
	defer b.rooting.Unlock()
	if err := nix.Root(filepath.Join(b.o.Roots, host.String(), toplevel.Hash()), toplevel); err != nil {
		return fmt.Errorf("root %s of %s: %w", toplevel, host, err)
	}
	return nil
}

// Prune removes the oldest roots of host, so that Options.Keep of them stay. It
// never removes those of keep.
func (b *Builder) Prune(host proto.HostName, keep ...proto.StorePath) error {
	roots, err := b.roots(host)
	if err != nil {
		return fmt.Errorf("prune roots of %s: %w", host, err)
	}
	for i, r := range roots {
		if i < b.o.Keep || slices.ContainsFunc(keep, func(p proto.StorePath) bool { return p.Hash() == filepath.Base(r.link) }) {
			continue
		}
		if err := b.unroot(r); err != nil {
			return fmt.Errorf("prune roots of %s: %w", host, err)
		}
	}
	return nil
}

// Rooted returns the hosts that have roots, sorted. What is not named after a host is none
// of ours.
func (b *Builder) Rooted() (hosts []proto.HostName, err error) {
	entries, err := os.ReadDir(b.o.Roots)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list hosts with roots: %w", err)
	}
	for _, e := range entries {
		if host, err := proto.ParseHostName(e.Name()); err == nil && e.IsDir() {
			hosts = append(hosts, host)
		}
	}
	return hosts, nil
}

// Unroot removes all roots of host.
func (b *Builder) Unroot(host proto.HostName) error {
	b.rooting.Lock()
	defer b.rooting.Unlock()
	roots, err := b.roots(host)
	for _, r := range roots {
		err = errors.Join(err, b.unroot(r))
	}
	if err == nil {
		err = remove(filepath.Join(b.o.Roots, host.String()))
	}
	if err != nil {
		return fmt.Errorf("remove roots of %s: %w", host, err)
	}
	return nil
}

// unroot removes a root.
func (b *Builder) unroot(r root) error {
	b.forget(r.toplevel)
	return remove(r.link)
}

// forget makes the next build look whether toplevel is still there.
func (b *Builder) forget(toplevel string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.valid {
		if p.String() == toplevel {
			delete(b.valid, p)
		}
	}
}

// A root is one link, made when its toplevel was last built.
type root struct {
	link     string
	toplevel string
	made     time.Time
}

// roots returns the roots of host, the newest first.
func (b *Builder) roots(host proto.HostName) ([]root, error) {
	dir := filepath.Join(b.o.Roots, host.String())
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var roots []root
	for _, e := range entries {
		r := root{link: filepath.Join(dir, e.Name())}
		stat, err := e.Info()
		if err == nil {
			r.toplevel, err = os.Readlink(r.link)
		}
		if err != nil {
			return nil, err
		}
		r.made = stat.ModTime()
		roots = append(roots, r)
	}
	slices.SortFunc(roots, func(x, y root) int { return y.made.Compare(x.made) })
	return roots, nil
}

// remove removes a file; a missing one is no error.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
