package activation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kedge/agent/internal/bootdir"
)

// sync makes everything written durable, wherever the boot loader keeps its
// files. sync(2) tells of no error; the boot partitions are asked for those that
// happened meanwhile.
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
	unix.Sync()
	for _, dir := range boot {
		if failed := unix.Syncfs(int(dir.Fd())); failed != nil {
			err = errors.Join(err, fmt.Errorf("sync the file system of %s: %w", dir.Name(), failed))
		}
	}
	return err
}
