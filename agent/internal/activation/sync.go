package activation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kedge/agent/internal/bootdir"
	"kedge/internal/durable"
)

// sync makes everything durable that an installer of a boot loader writes, wherever that
// keeps its files, each file system once. It is not sync(2), which also waits for servers
// that may never answer. Only what the boot partitions cannot take is an error.
func (r Runner) sync() error {
	if r.Sync != nil {
		return r.Sync()
	}
	boot, err := bootdir.Find(r.Root)
	if err != nil {
		return err
	}
	local, err := bootdir.Local(r.Root)
	if err != nil {
		return err
	}
	synced := map[uint64]bool{} // by device
	for _, dir := range boot {
		device, failed := syncBoot(filepath.Join("/", r.Root, dir))
		err = errors.Join(err, failed)
		synced[device] = true
	}
	var others []string
	for _, dir := range local {
		dir = filepath.Join("/", r.Root, dir)
		if device, failed := deviceOf(dir); failed != nil || !synced[device] {
			others = append(others, dir)
		}
	}
	if failed := durable.SyncFileSystems(others...); failed != nil {
		r.Log.Warn("what was written may not be on its disk", "err", failed)
	}
	return err
}

// syncBoot makes the file system of dir durable, and returns its device. A container has
// none: that is no error, and zero.
func syncBoot(dir string) (device uint64, err error) {
	f, err := os.Open(dir) // mounts it, if that is done when it is looked at
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close() // nothing was written
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return 0, fmt.Errorf("sync the file system of %s: %w", dir, err)
	}
	return deviceOf(dir)
}

func deviceOf(dir string) (uint64, error) {
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	return s.Dev, nil
}
