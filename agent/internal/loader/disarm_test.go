package loader

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDisarmDoesNotTakeWhatCannotBeReadForNothing has a directory where a file is read.
func TestDisarmDoesNotTakeWhatCannotBeReadForNothing(t *testing.T) {
	l := Loader{Root: t.TempDir()}
	if err := l.Disarm(t.Context()); err != nil {
		t.Fatalf("nothing is there: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(l.Root, grubDir, grubEnv), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.Disarm(t.Context()); err == nil {
		t.Error("disarmed, though it is not known whether it was armed")
	}
}
