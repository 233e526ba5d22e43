package activation

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSwitching(t *testing.T) {
	root := t.TempDir()
	require := func(when string, want bool) {
		t.Helper()
		if got := Switching(root); got != want {
			t.Errorf("%s: got %t, want %t", when, got, want)
		}
	}
	require("before the first switch", false)
	name := filepath.Join(root, lockFile)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	require("after one", false)
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	require("during one", true)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	require("after another one", false)
}
