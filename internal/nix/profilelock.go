package nix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockPause is between two tries to take a profile's lock: the kernel would let
// us wait, but not end with a context.
const lockPause = 20 * time.Millisecond

// whileLocked changes a profile under the lock that Nix's commands take to
// change its generations: the file "PROFILE.lock". Whoever gives the lock back
// removes the file, having written to it: one that is not empty locks nobody out
// any more, whatever is at its path by now.
func whileLocked(ctx context.Context, profile string, change func() error) (err error) {
	name := profile + ".lock"
	lock, err := lockFile(ctx, name)
	if err != nil {
		return fmt.Errorf("lock profile %s: %w", profile, err)
	}
	defer func() {
		// That nobody removed it does no harm.
		_ = os.Remove(name)
		_, _ = lock.WriteString("d")
		err = errors.Join(err, lock.Close())
	}()
	if err := change(); err != nil {
		return fmt.Errorf("change profile %s: %w", profile, err)
	}
	return nil
}

// lockFile returns the file of that name once it is locked by us alone.
func lockFile(ctx context.Context, name string) (*os.File, error) {
	again := time.NewTicker(lockPause)
	defer again.Stop()
	for {
		f, err := tryLockFile(name)
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("somebody else has %s: %w", name, context.Cause(ctx))
		}
	}
}

// tryLockFile returns nil if somebody else has the lock, or gave it back just
// now.
func tryLockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, f.Close()
	}
	var info os.FileInfo
	if err == nil {
		info, err = f.Stat()
	}
	if err != nil || info.Size() > 0 {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
