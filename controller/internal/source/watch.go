package source

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// Watch calls moved soon after each push to the branch of a local repository,
// before git has even run its hooks, until ctx ends; and once when it begins, as
// there may have been a push before. Of a repository elsewhere
// nobody tells, and of one that cannot be watched, which is logged: then it only
// waits.
func (r *Repository) Watch(ctx context.Context, moved func()) error {
	if file := r.location.branchFile(r.branch); file != "" {
		if err := watch(ctx, file, moved); err != nil {
			r.log.WarnContext(ctx, "repository cannot be watched; it is polled", "err", err)
		}
	}
	<-ctx.Done()
	return nil
}

// watch calls moved once, and then each time that file was replaced.
func watch(ctx context.Context, file string, moved func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	// The directory, because a replaced file is another one each time.
	if err := w.Add(filepath.Dir(file)); err != nil {
		return errors.Join(err, w.Close())
	}
	moved()
	for {
		select {
		case e := <-w.Events:
			if e.Name == file && e.Has(fsnotify.Create) {
				moved()
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
