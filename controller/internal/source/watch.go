package source

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// rewatch is how often a repository of this machine that cannot be watched is tried once
// more: it may be made yet, as may the folder of a branch with a slash in its name.
const rewatch = 2 * time.Second

// Watch calls moved soon after each push to the branch of a local repository,
// before git has even run its hooks, until ctx ends; and once when it begins, as
// there may have been a push before. Of a repository elsewhere
// nobody tells, and of one that cannot be watched, which is logged, only once it can.
func (r *Repository) Watch(ctx context.Context, moved func()) error {
	for said := false; r.location.local && ctx.Err() == nil; {
		if err := r.watch(ctx, moved); err != nil && !said {
			said = true
			r.log.WarnContext(ctx, "repository cannot be watched; it is polled", "err", err)
		}
		select {
		case <-time.After(rewatch):
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	return nil
}

func (r *Repository) watch(ctx context.Context, moved func()) error {
	file := r.location.branchFile(r.branch)
	if file == "" {
		return nil
	}
	return watch(ctx, file, moved)
}

// watch calls moved once, and then each time that file was replaced, until ctx ends or the
// file's directory is gone.
func watch(ctx context.Context, file string, moved func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	// The directory, because a replaced file is another one each time.
	dir := filepath.Dir(file)
	if err := w.Add(dir); err != nil {
		return errors.Join(err, w.Close())
	}
	moved()
	for {
		select {
		case e := <-w.Events:
			switch {
			case e.Name == file && e.Has(fsnotify.Create):
				moved()
			case e.Name == dir && e.Has(fsnotify.Remove):
				return w.Close()
			}
		case err := <-w.Errors:
			if err != nil {
				moved() // events were lost, perhaps ours
			}
		case <-ctx.Done():
			return w.Close()
		}
	}
}
