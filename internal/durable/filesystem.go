package durable

import (
	"errors"
	"fmt"
	"os"
	"sync"

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
// value is ready. It is safe for concurrent use; nobody waits for a file system that
// another one is syncing.
type Syncer struct {
	mu     sync.Mutex
	met    map[uint64]bool    // by device; guarded by mu
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
	if !s.meet(stat.Dev) {
		return nil
	}
	syncfs := s.syncfs
	if syncfs == nil {
		syncfs = unix.Syncfs
	}
	if err := syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync the file system of %s: %w", dir, err)
	}
	return nil
}

// meet reports whether s meets a device for the first time.
func (s *Syncer) meet(device uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.met == nil {
		s.met = map[uint64]bool{}
	}
	first := !s.met[device]
	s.met[device] = true
	return first
}
