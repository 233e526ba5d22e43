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
// keeps its files. It is not sync(2), which also waits for servers that may never answer.
// Only what the boot partitions cannot take is an error.
func (r Runner) sync() (err error) {
	if r.Sync != nil {
		return r.Sync()
	}
	dirs, err := bootdir.Find(r.Root)
	if err != nil {
		return err
	}
	var boot []*os.File
	defer func() {
		for _, dir := range boot {
			err = errors.Join(err, dir.Close())
		}
	}()
	for _, name := range dirs {
		dir, err := os.Open(filepath.Join("/", r.Root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a container has none
		}
		if err != nil {
			return err
		}
		boot = append(boot, dir)
	}
	local, err := bootdir.Local(r.Root)
	if err != nil {
		return err
	}
	for i, name := range local {
		local[i] = filepath.Join("/", r.Root, name)
	}
	if failed := durable.SyncFileSystems(local...); failed != nil {
		r.Log.Warn("what was written may not be on its disk", "err", failed)
	}
	for _, dir := range boot {
		if failed := unix.Syncfs(int(dir.Fd())); failed != nil {
			err = errors.Join(err, fmt.Errorf("sync the file system of %s: %w", dir.Name(), failed))
		}
	}
	return err
}
