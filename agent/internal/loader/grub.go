package loader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/internal/durable"
	"kedge/internal/nix"
	"kedge/proto"
)

const (
	grubDir     = "/boot/grub"
	grubConfig  = "grub.cfg"
	grubEnv     = "grubenv"
	systemLink  = "/nix/var/nix/profiles/system"
	grubDefault = "GRUB" // where it does not say its name
)

// A grub is GRUB with the configuration that NixOS writes.
type grub struct{ dir string }

// findGRUB returns the GRUB that calls itself name, which may be empty: then
// there may also be another loader.
func (l Loader) findGRUB(name string) (once, Support) {
	g := grub{dir: filepath.Join(l.Root, grubDir)}
	none := func(name, format string, args ...any) (once, Support) {
		return nil, Support{Loader: name, Protection: None, Reason: fmt.Sprintf(format, args...)}
	}
	b, err := os.ReadFile(g.config())
	switch {
	case errors.Is(err, fs.ErrNotExist) && name == "":
		return none("", "the boot loader is neither systemd-boot nor GRUB, and boots its default only")
	case err != nil:
		return none(name, "read GRUB's configuration: %v", err)
	}
	text := string(b)
	registered, err := nix.CurrentGeneration(filepath.Join(l.Root, systemLink))
	if err != nil {
		return none(name, "find the registered system: %v", err)
	}
	if len(entriesOf(parseMenu(text), registered.Path)) == 0 {
		return none(name, "%s does not have the registered system: it may be left from before another boot loader", g.config())
	}
	if name == "" {
		name = grubDefault
	}
	if why := onceByMenu(text); why != "" {
		return none(name, "%s %s", g.config(), why)
	}
	if err := l.grubWrites(g.dir); err != nil {
		return none(name, "GRUB could not clear the entry again: %v", err)
	}
	return g, Support{Loader: name, Protection: OneShot}
}

func (g grub) config() string      { return filepath.Join(g.dir, grubConfig) }
func (g grub) environment() string { return filepath.Join(g.dir, grubEnv) }

// arm implements once.
func (g grub) arm(ctx context.Context, toplevel proto.StorePath) error {
	b, err := os.ReadFile(g.config())
	if err != nil {
		return fmt.Errorf("read GRUB's menu: %w", err)
	}
	entries := entriesOf(parseMenu(string(b)), toplevel)
	if len(entries) == 0 {
		return ErrNoEntry
	}
	for _, e := range entries {
		if len(e.path) == 1 { // where the default is; generations are in a submenu
			return ErrDefault
		}
	}
	return g.set(ctx, entries[0].choice())
}

// others implements once. The entries of the default are those that are in no submenu.
func (g grub) others(_ context.Context, toplevel proto.StorePath) (titles []string, err error) {
	b, err := os.ReadFile(g.config())
	if err != nil {
		return nil, fmt.Errorf("read GRUB's menu: %w", err)
	}
	all := parseMenu(string(b))
	if len(entriesOf(all, toplevel)) == 0 {
		return nil, nil
	}
	for _, e := range all {
		switch {
		case len(e.path) > 1:
		case boots(e.options, toplevel):
			return nil, nil
		default:
			titles = append(titles, e.choice())
		}
	}
	return titles, nil
}

// disarm implements once.
func (g grub) disarm(ctx context.Context) error { return g.set(ctx, "") }

// armed implements once.
func (g grub) armed() (string, error) {
	e, err := g.load()
	return e.next(), err
}

// set makes choice the entry that is booted once; empty is none.
func (g grub) set(ctx context.Context, choice string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	e, err := g.load()
	if err != nil {
		return err
	}
	if e.next() == choice {
		return nil
	}
	block, err := e.withNext(choice).encode()
	if err != nil {
		return fmt.Errorf("change %s: %w", g.environment(), err)
	}
	err = overwrite(g.environment(), block)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// As permissive as its neighbour: a boot partition has no other permissions.
	info, err := os.Stat(g.config())
	if err != nil {
		return fmt.Errorf("find GRUB's menu: %w", err)
	}
	return durable.WriteFile(g.environment(), block, info.Mode().Perm())
}

// overwrite replaces the content of a file, which is as long, in its place, as GRUB
// does: GRUB does not read a file system's journal, so that after a power cut it
// could still see the file that a new one has replaced.
func overwrite(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("change GRUB's environment block: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("change GRUB's environment block: %w", err)
	}
	return nil
}

// load returns the environment block; an empty one if there is none.
func (g grub) load() (envBlock, error) {
	b, err := os.ReadFile(g.environment())
	if errors.Is(err, fs.ErrNotExist) {
		return envBlock{size: envBlockLen}, nil
	}
	if err != nil {
		return envBlock{}, fmt.Errorf("read GRUB's environment block: %w", err)
	}
	e, err := parseEnvBlock(b)
	if err != nil {
		return envBlock{}, fmt.Errorf("read %s: %w", g.environment(), err)
	}
	return e, nil
}
