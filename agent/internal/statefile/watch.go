package statefile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// ErrWatchUnknown is returned for a name that cannot be watched.
var ErrWatchUnknown = errors.New("no file that can be watched")

// Watch returns a channel that gets a value after every replacement or removal
// of the file called name, [DeploymentFile] or [ContactFile]. Several changes
// may become one value, none is lost: whoever reads the file after having
// received sees at least the state of that change. Look once yourself after
// Watch returned.
//
// The channel is closed when ctx ends, and before that only if the kernel can
// watch no more, such as after the removal of the directory. That is the last
// thing that the watch does: whoever receives until then has waited for its end.
func (d Dir) Watch(ctx context.Context, name string) (<-chan struct{}, error) {
	var dir string
	switch name {
	case DeploymentFile:
		dir = d.State
	case ContactFile, recallFile:
		dir = d.Runtime
	default:
		return nil, fmt.Errorf("watch %q: %w", name, ErrWatchUnknown)
	}
	path := filepath.Join(dir, name)
	return watch(ctx, dir, func(changed string) bool { return changed == path })
}

// Await looks at the file called name, which [Dir.Watch] takes, at first and after
// every change, until look has seen what it waits for, or fails, or ctx ends.
func (d Dir) Await(ctx context.Context, name string, look func() (seen bool, err error)) error {
	watched, stop := context.WithCancel(ctx)
	defer stop()
	changed, err := d.Watch(watched, name)
	if err != nil {
		return err
	}
	defer func() {
		stop()
		for range changed { // until the watch has ended
		}
	}()
	for {
		if seen, err := look(); seen || err != nil {
			return err
		}
		if _, open := <-changed; !open {
			return fmt.Errorf("watch %q: it ended: %w", name, cmp.Or(context.Cause(ctx), fs.ErrClosed))
		}
	}
}

// watch is [Dir.Watch] of the files in dir that concern somebody.
func watch(ctx context.Context, dir string, concerns func(path string) bool) (<-chan struct{}, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	// The directory, because a replaced file is another one each time.
	if err := watcher.Add(dir); err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, errors.Join(err, watcher.Close()))
	}
	changed := make(chan struct{}, 1)
	go relay(ctx, watcher, dir, concerns, changed)
	return changed, nil
}

// relay tells changed of what happens to files in dir until ctx ends, then
// closes both.
func relay(ctx context.Context, watcher *fsnotify.Watcher, dir string, concerns func(path string) bool, changed chan<- struct{}) {
	defer close(changed)
	defer func() {
		_ = watcher.Close() // it watched only: nothing can be lost
	}()
	ring := func() {
		select {
		case changed <- struct{}{}:
		default: // one is waiting already
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-watcher.Events:
			if !open || e.Name == dir && e.Has(fsnotify.Remove) {
				return
			}
			if concerns(e.Name) && !e.Has(fsnotify.Chmod) {
				ring()
			}
		case _, open := <-watcher.Errors:
			if !open {
				return
			}
			// Events were lost, perhaps ours.
			ring()
		}
	}
}
