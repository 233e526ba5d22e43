// Package rootfs makes the root file system of the test hosts, once, and keeps it: a Debian with a real systemd and a real
// Nix, slim enough to boot in a second, and with /usr/sbin/e2e-firmware as the machine's boot loader and a bootctl for it.
//
// The result lies outside the checkout under a key of its recipe, and is shared: a host uses it as the read-only lower
// layer of an overlay. Nobody may write to it.
package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kedge/e2e/internal/mounts"
)

// Cache is the directory that keeps root file systems between runs.
const Cache = "/var/cache/kedge-e2e"

// Ensure returns the directory of the root file system that this version of the package describes, and makes it first if
// the cache does not have it. That takes one to four minutes, most of it download, and log hears how far it is. Whoever
// asks at the same time, also in another process, waits for the one who makes it. An interrupted making leaves nothing that
// is taken for a result. It must run as root, with the tools of [EnsureTools].
func Ensure(ctx context.Context, log func(string)) (dir string, err error) {
	return ensure(ctx, log, key(), build)
}

// ensure returns the directory with that name in the cache, as make makes it.
func ensure(ctx context.Context, log func(string), name string, make func(ctx context.Context, dir string, p *progress) error) (dir string, err error) {
	dir = filepath.Join(Cache, name)
	if ready(dir) {
		return dir, used(dir)
	}
	if err := os.MkdirAll(Cache, 0o755); err != nil {
		return "", fmt.Errorf("make root file system: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(Cache, "lock"), log)
	if err != nil {
		return "", err
	}
	defer unlock()
	if ready(dir) { // made by the one who held the lock
		return dir, nil
	}
	building := dir + ".building"
	if err := remove(building); err != nil {
		return "", err
	}
	if err := make(ctx, building, newProgress(log, time.Now)); err != nil {
		return "", errors.Join(fmt.Errorf("make root file system: %w", err), remove(building))
	}
	if err := os.Rename(building, dir); err != nil {
		return "", fmt.Errorf("make root file system: %w", err)
	}
	log("root file system: ready in " + dir)
	return dir, removeOthers(dir)
}

// remove removes an unfinished root file system, with what may still be mounted in it. It is no error if there is none.
func remove(building string) error {
	if err := mounts.Detach(building); err != nil {
		return fmt.Errorf("remove unfinished root file system: %w", err)
	}
	if err := os.RemoveAll(building); err != nil {
		return fmt.Errorf("remove unfinished root file system: %w", err)
	}
	return nil
}

func ready(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// lockInterval is how often a lock is tried that another process has: flock has no way to wait
// that a context can end.
const lockInterval = 500 * time.Millisecond

// lock takes the exclusive lock on the file name, which vanishes with the process that holds it. If it has to wait for
// another one it says so.
func lock(ctx context.Context, name string, log func(string)) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	again := time.NewTicker(lockInterval)
	defer again.Stop()
	for waiting := false; ; waiting = true {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case err == nil:
			return func() { _ = f.Close() }, nil // closing unlocks; nothing was written
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
		}
		if !waiting {
			log("waiting for another process that has " + name)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s: %w", name, context.Cause(ctx)), f.Close())
		}
	}
}

// unusedAfter is how long a root file system of another recipe is kept: branches and old checkouts may still use it.
const unusedAfter = 14 * 24 * time.Hour

// used notes that dir is used.
func used(dir string) error {
	if err := os.Chtimes(dir, time.Time{}, time.Now()); err != nil {
		return fmt.Errorf("keep root file system: %w", err)
	}
	return nil
}

// removeOthers removes what older recipes left in the cache.
func removeOthers(dir string) error {
	entries, err := os.ReadDir(Cache)
	if err != nil {
		return fmt.Errorf("clean root file system cache: %w", err)
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), keyPrefix) || e.Name() == filepath.Base(dir) || time.Since(info.ModTime()) < unusedAfter {
			continue
		}
		errs = append(errs, os.RemoveAll(filepath.Join(Cache, e.Name())))
	}
	return errors.Join(errs...)
}
