package activation

import (
	"errors"
	"io/fs"
	"path/filepath"

	"kedge/agent/internal/bootdir"
	"kedge/internal/durable"
)

// sync makes everything durable that an installer of a boot loader writes, wherever that
// keeps its files, each file system once. It is not sync(2), which also waits for servers
// that may never answer. Only what the boot partitions cannot take is an error; a
// container has none.
func (r Runner) sync() error {
	if r.Sync != nil {
		return r.Sync()
	}
	boot, others, err := bootdir.Written(r.Root)
	if err != nil {
		return err
	}
	var once durable.Syncer
	for _, dir := range boot {
		if failed := once.Sync(filepath.Join("/", r.Root, dir)); !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	for _, dir := range others {
		if failed := once.Sync(filepath.Join("/", r.Root, dir)); failed != nil {
			r.Log.Warn("what was written may not be on its disk", "err", failed)
		}
	}
	return err
}
