package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A volume is a file system and the device that has it.
type volume struct {
	kind         int64 // unix.Statfs_t.Type
	readOnly     bool
	major, minor uint32
}

func volumeOf(path string) (volume, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return volume{}, fmt.Errorf("look at the file system of %s: %w", path, err)
	}
	var file unix.Stat_t
	if err := unix.Stat(path, &file); err != nil {
		return volume{}, fmt.Errorf("look at %s: %w", path, err)
	}
	return volume{kind: fs.Type, readOnly: fs.Flags&unix.ST_RDONLY != 0, major: unix.Major(file.Dev), minor: unix.Minor(file.Dev)}, nil
}

func (l Loader) look(path string) (volume, error) {
	if l.volume != nil {
		return l.volume(path)
	}
	return volumeOf(path)
}

// variablesWritable returns nil if EFI variables can be set. The kernel mounts
// them read-only where the firmware cannot set them once a system runs.
func (l Loader) variablesWritable() error {
	v, err := l.look(filepath.Join(l.Root, variablesDir))
	if err != nil {
		return err
	}
	if v.readOnly {
		return errors.New("EFI variables are read-only here")
	}
	return nil
}

// grubWrites returns nil if GRUB can change a file in dir. It overwrites the
// sectors of the file, and knows nothing of checksums, copies and journals.
func (l Loader) grubWrites(dir string) error {
	v, err := l.look(dir)
	if err != nil {
		return err
	}
	switch v.kind {
	case unix.EXT4_SUPER_MAGIC, unix.MSDOS_SUPER_MAGIC, unix.XFS_SUPER_MAGIC: // ext4's is ext2's and ext3's, too
	default:
		return fmt.Errorf("%s is on none of ext2, ext3, ext4, FAT and XFS", dir)
	}
	device := filepath.Join(l.Root, "/sys/dev/block", fmt.Sprintf("%d:%d", v.major, v.minor))
	if _, err := os.Stat(device); err != nil {
		return fmt.Errorf("look at the device of %s: %w", dir, err)
	}
	// The device is a link: of a partition, .. is the whole disk.
	for _, mapped := range []string{"/dm", "/md", "/../dm", "/../md"} {
		_, err := os.Stat(device + mapped)
		if err == nil {
			return fmt.Errorf("%s is on LVM, RAID or an encrypted disk", dir)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("look at the device of %s: %w", dir, err)
		}
	}
	return nil
}
