package durable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAFileSystemIsSyncedOnce(t *testing.T) {
	store, profiles, missing := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "missing")
	const other = "/proc/self/fdinfo"
	got, err := apart([]string{store, profiles, other})
	if diff := cmp.Diff([]string{store, other}, got); diff != "" || err != nil {
		t.Errorf("apart = %v (-want +got):\n%s", err, diff)
	}
	if err := SyncFileSystems(store, profiles, other); err != nil {
		t.Error(err)
	}
	if err := SyncFileSystems(missing, store); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: got %v", err)
	}
}
