package closure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// bootDir is where NixOS mounts a boot partition unless it is told otherwise.
const bootDir = "/boot"

// mountInfo lists what is mounted where.
const mountInfo = "/proc/self/mountinfo"

// bootKinds are the file systems that something boots from.
func bootKinds() []string {
	return []string{"vfat", "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs"}
}

// bootMarks are what tells, below a mount point, that an installer of NixOS copies
// kernels to it. Each is there with all of its files.
func bootMarks() [][]string {
	return [][]string{
		{"EFI/nixos"},                       // systemd-boot's, and lanzaboote
		{"grub/grub.cfg", "kernels"},        // GRUB's
		{"extlinux/extlinux.conf", "nixos"}, // that of U-Boot and others
		{"limine/limine.conf"},              // Limine's
	}
}

// bootDirs returns the directories that installers of boot loaders copy kernels to:
// of boot.loader.efi.efiSysMountPoint, of an extended boot partition beside it, and of
// all that GRUB mirrors its boots to. If there is none yet it is /boot, whether that
// is there or not.
func (h hostVolumes) bootDirs() ([]string, error) {
	mounted, err := h.mountPoints()
	if err != nil {
		return nil, err
	}
	// These may be mounted when they are looked at.
	usual := []string{bootDir, "/efi", "/boot/efi"}
	var found []string
	for _, dir := range append(usual, mounted...) {
		if !slices.Contains(found, dir) && h.hasKernels(dir) {
			found = append(found, dir)
		}
	}
	if len(found) == 0 {
		return []string{bootDir}, nil
	}
	return found, nil
}

func (h hostVolumes) hasKernels(dir string) bool {
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join("/", h.root, dir, name))
		return err == nil
	}
	return slices.ContainsFunc(bootMarks(), func(mark []string) bool {
		return !slices.ContainsFunc(mark, func(name string) bool { return !there(name) })
	})
}

// mountPoints returns those of file systems that something boots from, other than
// the root's.
func (h hostVolumes) mountPoints() (dirs []string, err error) {
	b, err := os.ReadFile(filepath.Join("/", h.root, mountInfo))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for boot partitions: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		mount, device, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(mount), strings.Fields(device)
		if len(fields) < 5 || len(kind) == 0 || !slices.Contains(bootKinds(), kind[0]) {
			continue
		}
		if dir := unescapeMount(fields[4]); dir != "/" {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// unescapeMount decodes the octal numbers that stand for white space in a mount point.
func unescapeMount(s string) string {
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
