package nix

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"kedge/proto"
)

// TestARootThatACrashLeftHalfMade is in nobody's way, and goes with the next making or with
// the root.
func TestARootThatACrashLeftHalfMade(t *testing.T) {
	path, err := proto.ParseStorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-source")
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "roots", "main")
	leave := func() {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink("/nix/store/old", link+".new")); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(name string) {
		t.Helper()
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there still: %v", name, err)
		}
	}
	leave()
	if err := Root(link, path); err != nil {
		t.Fatal(err)
	}
	if named, err := os.Readlink(link); err != nil || named != path.String() {
		t.Errorf("the root names %q, %v; want %s", named, err, path)
	}
	gone(link + ".new")
	leave()
	for range 2 { // it can be repeated
		if err := Unroot(link); err != nil {
			t.Fatal(err)
		}
		gone(link)
		gone(link + ".new")
	}
}
