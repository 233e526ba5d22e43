// Package bootloader stands in for the installer of NixOS's boot loader, as systemd-boot's behaves:
// one entry for every generation of the system profile and its specialisations, and a default that moves only to a system
// that is a generation.
//
// The firmware of the test hosts boots the system that loader/default names, or once the entry that
// bootctl set. Where the machine has the real systemd-boot, it is installed and configured likewise.
// With the file e2e-count in /boot its boots are counted. Where /boot has a folder grub, it is GRUB that is installed, with the menu that NixOS writes for it.
package bootloader

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Disk is where the installer finds things.
type Disk struct {
	Boot     string // mount point of the boot partition, /boot
	Profiles string // folder of the system profile, /nix/var/nix/profiles
	Loader   string // systemd-boot's program, if there is one
	GRUB     string // GRUB's program, if there is one
}

// loaderFiles are where the loader is installed: where firmware looks by default, and where bootctl does.
var loaderFiles = [...]string{"EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"}

// countFile, in the boot partition, has a new entry's name begin with tries left.
const countFile = "e2e-count"

// failFile, in the boot partition, makes every installation fail.
const failFile = "e2e-fail"

// ErrInjected is the failure that a test asked for by creating the file e2e-fail in /boot.
var ErrInjected = errors.New("e2e-fail is there")

// Install writes the entries and removes stale ones, and makes toplevel the default if it is a
// generation of the system profile; otherwise the default stays, and that is no error. With reinstall
// the loader itself is written anew, too. On an error some of that has been done.
func (d Disk) Install(toplevel string, reinstall bool) error {
	if _, err := os.Lstat(filepath.Join(d.Boot, failFile)); err == nil {
		return fmt.Errorf("install boot loader in %s: %w", d.Boot, ErrInjected)
	}
	generations, err := d.generations()
	if err != nil {
		return err
	}
	if d.hasGRUB() {
		return d.installGRUB(toplevel, reinstall, generations)
	}
	for _, dir := range []string{d.entries(), d.kernels()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make boot folder: %w", err)
		}
	}
	if reinstall {
		if err := d.installLoader(); err != nil {
			return err
		}
	}
	if err := d.removeStale(generations); err != nil {
		return err
	}
	var entry string // of toplevel; its newest generation's
	for _, g := range generations {
		if err := d.writeEntry(g); err != nil {
			return fmt.Errorf("boot entry of generation %d: %w", g.number, err)
		}
		if g.toplevel == toplevel && g.specialisation == "" {
			entry = g.file()
		}
	}
	if entry == "" {
		return nil
	}
	if err := replace(filepath.Join(d.Boot, "loader/loader.conf"), []byte("timeout 0\ndefault "+entry+"\nconsole-mode keep\n")); err != nil {
		return err
	}
	return replace(filepath.Join(d.Boot, "loader/default"), []byte(toplevel+"\n"))
}

// installLoader writes the loader itself.
func (d Disk) installLoader() error {
	program, err := os.ReadFile(d.Loader)
	if errors.Is(err, fs.ErrNotExist) {
		program, err = []byte("boot loader\n"), nil
	}
	if err != nil {
		return fmt.Errorf("read the boot loader: %w", err)
	}
	for _, name := range loaderFiles {
		if err := replace(filepath.Join(d.Boot, name), program); err != nil {
			return err
		}
	}
	return nil
}

func (d Disk) entries() string { return filepath.Join(d.Boot, "loader/entries") }
func (d Disk) kernels() string { return filepath.Join(d.Boot, "EFI/nixos") }

// A generation is a numbered link of the system profile, or a specialisation of one.
type generation struct {
	number         int
	toplevel       string
	specialisation string // its name; "" for the system itself
}

func (g generation) file() string {
	if g.specialisation != "" {
		return fmt.Sprintf("nixos-generation-%d-specialisation-%s.conf", g.number, g.specialisation)
	}
	return fmt.Sprintf("nixos-generation-%d.conf", g.number)
}

// specialisations lists those of a generation.
func (g generation) specialisations() ([]generation, error) {
	links, err := filepath.Glob(filepath.Join(g.toplevel, "specialisation", "*"))
	if err != nil {
		return nil, fmt.Errorf("list specialisations: %w", err)
	}
	var all []generation
	for _, link := range links {
		toplevel, err := os.Readlink(link)
		if err != nil {
			return nil, fmt.Errorf("read specialisation: %w", err)
		}
		all = append(all, generation{number: g.number, toplevel: toplevel, specialisation: filepath.Base(link)})
	}
	return all, nil
}

// generations lists the system profile's, oldest first, each with its specialisations. Dangling links are left out.
func (d Disk) generations() ([]generation, error) {
	links, err := filepath.Glob(filepath.Join(d.Profiles, "system-*-link"))
	if err != nil {
		return nil, fmt.Errorf("list generations: %w", err)
	}
	var all []generation
	for _, link := range links {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(link), "system-"), "-link")
		number, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		toplevel, err := os.Readlink(link)
		if err != nil {
			return nil, fmt.Errorf("read generation %d: %w", number, err)
		}
		if _, err := os.Stat(toplevel); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		g := generation{number: number, toplevel: toplevel}
		special, err := g.specialisations()
		if err != nil {
			return nil, err
		}
		all = append(append(all, g), special...)
	}
	slices.SortStableFunc(all, func(a, b generation) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

// removeStale removes the entries and kernels that no generation has any more.
func (d Disk) removeStale(generations []generation) error {
	keep := map[string]bool{}
	for _, g := range generations {
		entry, err := d.entryFile(g)
		if err != nil {
			return err
		}
		keep[entry] = true
		for _, file := range kernelFiles {
			if name, err := kernelName(g, file); err == nil {
				keep[filepath.Join(d.kernels(), name)] = true
			}
		}
	}
	entries, err := filepath.Glob(filepath.Join(d.entries(), "nixos*-generation-*.conf"))
	if err != nil {
		return fmt.Errorf("list boot entries: %w", err)
	}
	kernels, err := filepath.Glob(filepath.Join(d.kernels(), "*"))
	if err != nil {
		return fmt.Errorf("list kernels: %w", err)
	}
	for _, file := range append(entries, kernels...) {
		if keep[file] {
			continue
		}
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("remove stale boot file: %w", err)
		}
	}
	return nil
}
