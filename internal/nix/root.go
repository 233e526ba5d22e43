package nix

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/proto"
)

// Root has a link name a path, whether that is there or not, from one moment to the next.
// In gcroots it keeps the path, and all that it needs, from being collected. It makes the
// directory, is not synced, and can be repeated, which makes the link the newest one.
func Root(link string, path proto.StorePath) error {
	fresh := link + ".new"
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(path.String(), fresh); err != nil {
		return err
	}
	return os.Rename(fresh, link)
}

// Unroot removes a link of [Root], and what a crash left of making one. That there is none
// is no error. It is not synced.
func Unroot(link string) error {
	var errs []error
	for _, name := range []string{link, link + ".new"} {
		if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
