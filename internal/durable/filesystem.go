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
	var s Syncer
	return s.Sync(dir)
}

// SyncFileSystems is [SyncFileSystem] for all dirs. No file system is waited for twice,
// and one that fails keeps no other from being synced.
func SyncFileSystems(dirs ...string) error {
	var s Syncer
	return s.Sync(dirs...)
}

// A Syncer syncs file systems, each once in its life, whether that fails or not. The zero
// value is ready. It is not safe for concurrent use.
type Syncer struct {
	met    map[uint64]bool    // by device
	syncfs func(fd int) error // nil for unix.Syncfs
}

// Sync is [SyncFileSystems], but for file systems that were met before: those are left
// alone. A directory that mounts its file system when it is looked at does so.
func (s *Syncer) Sync(dirs ...string) error {
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, s.sync(dir))
	}
	return errors.Join(errs...)
}

func (s *Syncer) sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return fmt.Errorf("find the file system of %s: %w", dir, err)
	}
	if s.met[stat.Dev] {
		return nil
	}
	if s.met == nil {
		s.met = map[uint64]bool{}
	}
	s.met[stat.Dev] = true
	sync := s.syncfs
	if sync == nil {
		sync = unix.Syncfs
	}
	if err := sync(int(f.Fd())); err != nil {
		return fmt.Errorf("sync the file system of %s: %w", dir, err)
	}
	return nil
}
