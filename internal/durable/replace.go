package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// WriteFile replaces the file at path by data with the permissions perm
// (whatever the umask). When it returns nil the new content survives a power
// cut; when it returns an error the file has its old content or, if only the
// last sync failed, the new one.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return disk{}.writeFile(path, data, perm)
}

// Symlink makes path a symbolic link to target, in the place of whatever file
// or link it is now, and durably. A directory is not replaced. A link that is right
// already stays, so that it takes no room on a disk that is full.
func Symlink(target, path string) error {
	return disk{}.symlink(target, path)
}

// Remove deletes the file or link at path durably. It is no error if it does
// not exist.
func Remove(path string) error {
	return disk{}.remove(path)
}

// Rename moves the file, link or directory from to the path to, where there is nothing
// or something that it may replace, durably. The error wraps fs.ErrNotExist if from is
// not there.
func Rename(from, to string) error {
	return disk{}.move(from, to)
}

// MkdirAll makes the directory path and the missing ones above it, durably.
// Directories that exist keep their permissions.
func MkdirAll(path string, perm fs.FileMode) error {
	return disk{}.mkdirAll(filepath.Clean(path), perm)
}

// SyncDir makes durable what was renamed or removed in the directory at path, by
// anybody.
func SyncDir(path string) error {
	return disk{}.syncDir(path)
}

// A disk performs effects one at a time. Its zero value just performs them; a
// test puts a fault between them.
type disk struct {
	fault func(step string, effect func() error) error
}

func (d disk) do(step string, effect func() error) error {
	if d.fault != nil {
		return d.fault(step, effect)
	}
	return effect()
}

func (d disk) writeFile(path string, data []byte, perm fs.FileMode) (err error) {
	temp, err := d.writeTemp(path, data, perm)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := d.rename(temp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// writeTemp returns the name of a synced file beside path that holds data. It
// leaves nothing behind when it fails.
func (d disk) writeTemp(path string, data []byte, perm fs.FileMode) (string, error) {
	var f *os.File
	temp := tempName(path)
	err := d.do("create", func() (err error) {
		f, err = os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		return err
	})
	if f == nil {
		return "", err
	}
	if err == nil {
		err = errors.Join(d.fill(f, data, perm), f.Close())
	}
	if err != nil {
		return "", errors.Join(err, d.discard(temp))
	}
	return temp, nil
}

func (d disk) fill(f *os.File, data []byte, perm fs.FileMode) error {
	err := d.do("write", func() error {
		_, err := f.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	if err := d.do("chmod", func() error { return f.Chmod(perm) }); err != nil {
		return err
	}
	return d.do("sync", f.Sync)
}

func (d disk) symlink(target, path string) error {
	if is, err := os.Readlink(path); err == nil && is == target {
		// Sync all the same: an earlier call may not be durable yet.
		if err := d.syncDir(filepath.Dir(path)); err != nil {
			return fmt.Errorf("link %s to %s: %w", path, target, err)
		}
		return nil
	}
	temp := tempName(path)
	if err := d.do("symlink", func() error { return os.Symlink(target, temp) }); err != nil {
		return fmt.Errorf("link %s to %s: %w", path, target, err)
	}
	if err := d.rename(temp, path); err != nil {
		return fmt.Errorf("link %s to %s: %w", path, target, err)
	}
	return nil
}

// rename moves temp to path durably; temp does not stay when that fails.
func (d disk) rename(temp, path string) error {
	if err := d.do("rename", func() error { return os.Rename(temp, path) }); err != nil {
		return errors.Join(err, d.discard(temp))
	}
	return d.syncDir(filepath.Dir(path))
}

func (d disk) move(from, to string) error {
	if err := d.do("rename", func() error { return os.Rename(from, to) }); err != nil {
		return err // names operation and paths already
	}
	if err := d.syncDir(filepath.Dir(to)); err != nil {
		return fmt.Errorf("rename %s to %s: %w", from, to, err)
	}
	if err := d.syncDir(filepath.Dir(from)); err != nil {
		return fmt.Errorf("rename %s to %s: %w", from, to, err)
	}
	return nil
}

func (d disk) remove(path string) error {
	err := d.do("remove", func() error { return os.Remove(path) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // names operation and path already
	}
	// Sync also when it was gone: an earlier removal may not be durable yet.
	err = d.syncDir(filepath.Dir(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

func (d disk) mkdirAll(path string, perm fs.FileMode) error {
	switch info, err := os.Stat(path); {
	case err == nil && !info.IsDir():
		return fmt.Errorf("make directory %s: it exists and is not a directory", path)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	parent := filepath.Dir(path)
	if err := d.mkdirAll(parent, perm); err != nil {
		return err
	}
	err := d.do("mkdir", func() error { return os.Mkdir(path, perm) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	if err := d.syncDir(parent); err != nil {
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	return nil
}

func (d disk) discard(temp string) error {
	err := d.do("discard", func() error { return os.Remove(temp) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d disk) syncDir(path string) error {
	return d.do("sync directory", func() error {
		dir, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(dir.Sync(), dir.Close())
	})
}

// tempMark is between the name of what is replaced and what is random.
const tempMark = ".tmp-"

// tempName returns a name beside path that no file has: 26 random characters.
func tempName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+tempMark+rand.Text())
}

// Leftover reports whether name, of a file or link, is one of those that a crash may leave
// behind, and returns what it was to be called. Whoever is at work on that now has such a
// one, too.
func Leftover(name string) (of string, ok bool) {
	of, _, ok = strings.Cut(name, tempMark)
	of, hidden := strings.CutPrefix(of, ".")
	return of, ok && hidden
}
