package durable

import (
	"errors"
	"fmt"
	"io/fs"
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

// SyncFileSystems is [SyncFileSystem] for all dirs. No file system is waited for twice,
// and one that fails keeps no other from being synced.
func SyncFileSystems(dirs ...string) error {
	dirs, err := apart(dirs)
	for _, dir := range dirs {
		err = errors.Join(err, SyncFileSystem(dir))
	}
	return err
}

// apart returns those of dirs that are on file systems of their own.
func apart(dirs []string) (first []string, err error) {
	met := make(map[uint64]bool, len(dirs))
	for _, dir := range dirs {
		var s unix.Stat_t
		if failed := unix.Stat(dir, &s); failed != nil {
			err = errors.Join(err, &fs.PathError{Op: "stat", Path: dir, Err: failed})
			continue
		}
		if !met[s.Dev] {
			met[s.Dev] = true
			first = append(first, dir)
		}
	}
	return first, err
}
