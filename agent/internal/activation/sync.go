package activation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"kedge/agent/internal/bootdir"
	"kedge/internal/durable"
)

// syncPatience is how long the file systems that are no boot partitions are waited for.
// What this is about was put on their disks before, or is none of ours.
const syncPatience = 2 * time.Minute

// sync makes everything durable that an installer of a boot loader writes, wherever that
// keeps its files, each file system once. It is not sync(2), which also waits for servers
// that may never answer. Only what the boot partitions cannot take is an error, and that
// they do not take it before ctx ends; a container has none.
func (r Runner) sync(ctx context.Context) error {
	if r.Sync != nil {
		return within(ctx, r.Sync)()
	}
	boot, others, err := bootdir.Written(ctx, r.Root)
	if err != nil {
		return err
	}
	var once durable.Syncer
	return r.syncEach(ctx, boot, others, func(dir string) error { return once.Sync(filepath.Join("/", r.Root, dir)) })
}

// syncEach syncs boot and others, one dir at a time with sync, of which only boot's
// failures are an error.
func (r Runner) syncEach(ctx context.Context, boot, others []string, sync func(dir string) error) (err error) {
	for _, dir := range boot {
		failed := within(ctx, func() error { return sync(dir) })()
		if failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("%s: %w", dir, failed))
		}
	}
	patient, cancel := context.WithTimeout(ctx, syncPatience)
	defer cancel()
	var waits []func() error // for all at once: one that hangs keeps no other from being synced
	for _, dir := range others {
		waits = append(waits, within(patient, func() error { return sync(dir) }))
	}
	for i, wait := range waits {
		if failed := wait(); failed != nil {
			r.Log.WarnContext(ctx, "what was written may not be on its disk", "dir", others[i], "err", failed)
		}
	}
	return err
}

// within has f run, and returns what waits for its end: for what it returns or, if ctx
// ends before, that a disk does not answer. Then f goes on by itself until the kernel lets
// it go: nobody can end what waits for a disk.
func within(ctx context.Context, f func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
		}
		select {
		case err := <-done: // at the same moment
			return err
		default:
			return fmt.Errorf("the disk does not answer: %w", context.Cause(ctx))
		}
	}
}
