package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SyncFileSystem puts on the disk all that the file system of a directory was told, by
// anybody: syncfs(2). It takes as long as the disk does.
func SyncFileSystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return errors.Join(fmt.Errorf("sync the file system of %s: %w", dir, err), f.Close())
	}
	return f.Close()
}
