// Package bootdir finds where the installers of NixOS' boot loaders copy kernels to.
package bootdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Default is where NixOS mounts a boot partition unless it is told otherwise.
const Default = "/boot"

// mountInfo lists what is mounted where.
const mountInfo = "/proc/self/mountinfo"

// kinds are the file systems that something boots from.
func kinds() []string {
	return []string{"vfat", "ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "f2fs", "zfs"}
}

// marks are what tells, below a mount point, that an installer of NixOS copies
// kernels to it. Each is there with all of its files.
func marks() [][]string {
	return [][]string{
		{"EFI/nixos"},                       // systemd-boot's, and lanzaboote
		{"grub/grub.cfg", "kernels"},        // GRUB's
		{"extlinux/extlinux.conf", "nixos"}, // that of U-Boot and others
		{"limine/limine.conf"},              // Limine's
	}
}

// Find returns the directories that have kernels below root, which may be empty, as
// paths on the host: boot.loader.efi.efiSysMountPoint, an extended boot partition in
// its place, or all that GRUB mirrors its boots to. If there is none yet it is
// [Default], whether that is there or not.
func Find(root string) (dirs []string, err error) {
	mounted, err := mountPoints(root)
	if err != nil {
		return nil, err
	}
	return withKernels(mounted, func(dir string) bool { return hasKernels(filepath.Join("/", root, dir), os.Stat) }), nil
}

// Written returns everything that an installer of a boot loader writes to: boot is what
// [Find] returns, others are the root directory, the store, and where else below root a
// file system is mounted that something boots from. A file system on another machine is
// none. A disk that does not answer is not waited for for long: what is mounted of it
// where a boot partition usually is counts as one, what is elsewhere does not, and
// neither does what is yet to be mounted.
func Written(ctx context.Context, root string) (boot, others []string, err error) {
	return written(ctx, root, func(dir string) bool { return hasKernels(filepath.Join("/", root, dir), os.Stat) })
}

func written(ctx context.Context, root string, has func(dir string) bool) (boot, others []string, err error) {
	mounted, err := mountPoints(root)
	if err != nil {
		return nil, nil, err
	}
	answers := ask(ctx, append(usual(), mounted...), has)
	// Once more: some are mounted only now, as they were looked at.
	if mounted, err = mountPoints(root); err != nil {
		return nil, nil, err
	}
	boot = withKernels(mounted, func(dir string) bool {
		if kernels, answered := answers[dir]; answered {
			return kernels
		}
		return slices.Contains(usual(), dir) && slices.Contains(mounted, dir)
	})
	return boot, append([]string{"/", "/nix/store"}, mounted...), nil
}

// patience is how long the disks may take to answer. These directories may be mounted
// when they are looked at.
const patience = 20 * time.Second

// ask asks all dirs at once whether they have kernels, and returns the answers. Who does
// not answer in time, or before ctx ends, has none in it, and goes on by himself until
// the kernel lets him go.
func ask(ctx context.Context, dirs []string, has func(dir string) bool) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	asked := map[string]chan bool{}
	for _, dir := range dirs {
		if asked[dir] == nil {
			answer := make(chan bool, 1)
			asked[dir] = answer
			go func() { answer <- has(dir) }()
		}
	}
	answers := map[string]bool{}
	for dir, answer := range asked {
		select {
		case answers[dir] = <-answer:
			continue
		case <-ctx.Done():
		}
		select {
		case answers[dir] = <-answer: // it had answered
		default:
		}
	}
	return answers
}

// usual are the directories where boot partitions are mounted as a rule.
func usual() []string { return []string{Default, "/efi", "/boot/efi"} }

// withKernels returns those directories that have kernels, of the usual ones and those
// where something is mounted; Default if there is none.
func withKernels(mounted []string, has func(dir string) bool) (dirs []string) {
	for _, dir := range append(usual(), mounted...) {
		if !slices.Contains(dirs, dir) && has(dir) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		dirs = []string{Default}
	}
	return dirs
}

// hasKernels reports whether dir has them. Of a directory whose disk should be mounted for
// the look at it, and is not there, it asks once: each time waits for that disk anew.
func hasKernels(dir string, stat func(name string) (fs.FileInfo, error)) bool {
	gone := false
	there := func(name string) bool {
		if gone {
			return false
		}
		_, err := stat(filepath.Join(dir, name))
		gone = errors.Is(err, unix.ENODEV)
		return err == nil
	}
	return slices.ContainsFunc(marks(), func(mark []string) bool {
		return !slices.ContainsFunc(mark, func(name string) bool { return !there(name) })
	})
}

// mountPoints returns those of file systems that something boots from, other than
// the root's.
func mountPoints(root string) (dirs []string, err error) {
	b, err := os.ReadFile(filepath.Join("/", root, mountInfo))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for boot partitions: %w", err)
	}
	bootable := kinds()
	for line := range strings.Lines(string(b)) {
		mount, device, _ := strings.Cut(line, " - ")
		if kind, _, _ := strings.Cut(device, " "); !slices.Contains(bootable, kind) {
			continue
		}
		fields := strings.Fields(mount)
		if len(fields) < 5 {
			continue
		}
		if dir := unescape(fields[4]); dir != "/" {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// unescape decodes the octal numbers that stand for white space in a mount point.
func unescape(s string) string {
	for i := 0; i+3 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
			s = s[:i] + string([]byte{byte(c)}) + s[i+4:]
		}
	}
	return s
}
