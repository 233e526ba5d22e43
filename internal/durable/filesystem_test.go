package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestAFileSystemIsSyncedOnce(t *testing.T) {
	store, profiles, missing := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "missing")
	const other = "/proc/self/fdinfo"
	for _, failure := range []error{nil, unix.EIO} {
		var synced []string
		s := Syncer{syncfs: func(fd int) error {
			dir, err := os.Readlink(filepath.Join("/proc/self/fd", strconv.Itoa(fd)))
			synced = append(synced, dir)
			return errors.Join(err, failure)
		}}
		err := errors.Join(s.Sync(store, missing), s.Sync(profiles, other, store))
		if !errors.Is(err, os.ErrNotExist) || failure != nil && !errors.Is(err, failure) {
			t.Errorf("Sync that fails with %v = %v", failure, err)
		}
		self, err := filepath.EvalSymlinks(other)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{store, self}, synced); diff != "" {
			t.Errorf("synced, failing with %v (-want +got):\n%s", failure, diff)
		}
	}
}

func TestSyncFileSystems(t *testing.T) {
	dir, missing := t.TempDir(), filepath.Join(t.TempDir(), "missing")
	if err := SyncFileSystems(dir, "/proc/self/fdinfo"); err != nil {
		t.Error(err)
	}
	for _, err := range []error{SyncFileSystem(missing), SyncFileSystems(missing, dir)} {
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("no directory: got %v", err)
		}
	}
}
