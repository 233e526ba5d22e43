package activation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// bootDir is where boot loaders are installed, mostly.
const bootDir = "/boot"

// sync makes everything written durable, wherever the boot loader keeps its
// files. sync(2) tells of no error; the boot partition is asked for those that
// happened meanwhile.
func (r Runner) sync() error {
	if r.Sync != nil {
		return r.Sync()
	}
	boot, err := os.Open(filepath.Join(r.Root, bootDir))
	unix.Sync()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a container has none
	}
	if err != nil {
		return err
	}
	if err := unix.Syncfs(int(boot.Fd())); err != nil {
		return errors.Join(fmt.Errorf("sync the file system of %s: %w", bootDir, err), boot.Close())
	}
	return boot.Close()
}
