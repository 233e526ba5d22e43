// Package etc is what NixOS's activation does with /etc: the files of the new system are links there, by way
// of one link that all of them lead through.
package etc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Setup makes the folder etc lead to the files of a system: to static, which is its own etc, for every path
// in links. What leads to files that there no longer are is removed, and said to w.
func Setup(w io.Writer, etc, static string, links []string) error {
	through := filepath.Join(etc, "static")
	if err := replace(through, static); err != nil {
		return err
	}
	var errs []error
	for _, path := range links {
		errs = append(errs, lead(filepath.Join(etc, path), filepath.Join(through, path)))
	}
	return errors.Join(append(errs, clean(w, etc, through))...)
}

// lead makes a path a link to a target, unless it is.
func lead(path, target string) error {
	if is, err := os.Readlink(path); err == nil && is == target {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return replace(path, target)
}

// replace puts a link where another one, or a file, may be. There is always one of them.
func replace(path, target string) error {
	fresh := path + ".tmp"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// clean removes the links through a link that lead nowhere.
func clean(w io.Writer, etc, through string) error {
	return filepath.WalkDir(etc, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() != fs.ModeSymlink {
			return err
		}
		target, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(target, through+"/") {
			return err
		}
		if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := fmt.Fprintf(w, "removing obsolete symlink ‘%s’...\n", path); err != nil {
			return err
		}
		return os.Remove(path)
	})
}
