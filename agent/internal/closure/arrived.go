package closure

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/internal/durable"
	"kedge/proto"
)

// fetchFolder has a root for each path that has arrived of what is staged: the root of
// a system keeps nothing before all of it is there.
const fetchFolder = "fetch"

// Arrived keeps paths, of what is staged, until it is whole or given up. One that is
// kept already costs nothing.
func (r Roots) Arrived(paths []proto.StorePath) error {
	if len(paths) == 0 {
		return nil
	}
	dir := filepath.Join(r.Dir, fetchFolder)
	if err := durable.MkdirAll(dir, rootsPerm); err != nil {
		return err
	}
	for _, p := range paths {
		if err := os.Symlink(p.String(), filepath.Join(dir, p.Base())); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return durable.SyncDir(dir)
}

// GiveUp lets go of what Arrived kept.
func (r Roots) GiveUp() error {
	dir := filepath.Join(r.Dir, fetchFolder)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil // as ever, but after a fetch that did not come to its end at once
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return durable.SyncDir(r.Dir)
}

// GiveUp lets go of what has arrived of a closure that is not wanted any more.
func (f Fetcher) GiveUp() error { return f.Roots.GiveUp() }

// keepArrived keeps what has arrived of what was missing from being collected in the
// pause before the next attempt, unless there was no room: then what a collection can
// free is worth more. If it cannot be kept the next attempt may have to bring it again.
func (f Fetcher) keepArrived(ctx context.Context, missing proto.Closure, why proto.Reason) {
	if why == proto.ReasonDiskFull {
		f.letGo(ctx)
		return
	}
	still := map[proto.StorePath]bool{}
	for _, p := range missingOf(missing, f.Root) {
		still[p.Path] = true
	}
	var arrived []proto.StorePath
	for _, p := range missing {
		if !still[p.Path] {
			arrived = append(arrived, p.Path)
		}
	}
	if err := f.Roots.Arrived(arrived); err != nil {
		f.Log.WarnContext(ctx, "what has arrived may be collected", "paths", len(arrived), "err", err)
	}
}

// letGo is GiveUp for a closure that needs it no longer, and ends well whatever comes
// of that: what is left goes with the next one.
func (f Fetcher) letGo(ctx context.Context) {
	if err := f.Roots.GiveUp(); err != nil {
		f.Log.WarnContext(ctx, "what has arrived is kept from being collected for now", "err", err)
	}
}
