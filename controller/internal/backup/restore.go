package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kedge/internal/durable"
)

// unfinished is the directory in which a restore prepares what it puts in place. It is
// there for as long as that lasts.
const unfinished = "restore.unfinished"

// begun is a file in there that says which parts are being put in place, one a line. It
// is there once the first may have been.
const begun = ".begun"

// ErrUnfinished says that a restore did not come to its end.
var ErrUnfinished = errors.New("a restore did not come to its end")

// Unfinished returns an error that wraps [ErrUnfinished] if what is below dir is half
// of one state and half of another.
func Unfinished(dir string) error {
	at := filepath.Join(dir, unfinished)
	if _, err := os.Lstat(at); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return fmt.Errorf("%w: run kedge-controller restore again (%s is there)", ErrUnfinished, at)
}

// An Order says how to put a backup back.
type Order struct {
	Dir string // the state directory, which is nobody else's meanwhile
	// Keys is the part whose files are not to be lost, and Derived what of it can be
	// made again, by its name.
	Keys, Derived string
	// Parts are what to put back: all of the backup's, or some.
	Parts []string
	Force bool // lose keys
	Now   time.Time
}

// Restore puts a backup in the place of what is below a directory: all of the parts, or
// nothing. What was there is moved to a directory whose path it returns, empty if
// nothing was. It refuses to lose a key that is not in the backup. After a crash
// [Unfinished] says so, and it may be called again.
func (b Backup) Restore(o Order) (aside string, err error) {
	if lost, err := b.loses(o); err != nil {
		return "", err
	} else if len(lost) > 0 && !o.Force {
		return "", fmt.Errorf("%s has keys that are not in the backup, and would be lost: %s; back them up, and restore with --force if nothing needs them",
			o.Dir, strings.Join(lost, ", "))
	}
	stage := filepath.Join(o.Dir, unfinished)
	if err := covers(o.Parts, stage); err != nil {
		return "", err
	}
	resumed := Unfinished(o.Dir) != nil
	if err := b.prepare(o, stage); err != nil {
		if !resumed { // nothing was put in place yet
			err = errors.Join(err, os.RemoveAll(stage))
		}
		return "", fmt.Errorf("restore: %w", err)
	}
	aside = filepath.Join(o.Dir, "before-restore-"+o.Now.UTC().Format("20060102T150405.000"))
	moved, err := swap(o, stage, aside)
	if err != nil {
		return "", fmt.Errorf("restore: %w; run it again", err)
	}
	if err := errors.Join(os.RemoveAll(stage), durable.Remove(stage)); err != nil {
		return "", fmt.Errorf("restore: %w; run it again", err)
	}
	if !moved {
		aside = ""
	}
	return aside, nil
}

// loses returns the keys that are in the directory and not in b.
func (b Backup) loses(o Order) (lost []string, err error) {
	err = walk(o.Dir, o.Keys, func(name string, data []byte) error {
		same := func(f file) bool { return f.name == name && bytes.Equal(f.data, data) }
		if name != o.Derived && !slices.ContainsFunc(b.files, same) {
			lost = append(lost, path.Base(name))
		}
		return nil
	})
	return lost, err
}

// covers returns an error if a restore that crashed put parts in place, or may have, that
// are not among parts: that would leave half of them.
func covers(parts []string, stage string) error {
	before, err := os.ReadFile(filepath.Join(stage, begun))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for part := range strings.Lines(string(before)) {
		if part = strings.TrimSuffix(part, "\n"); !slices.Contains(parts, part) {
			return fmt.Errorf("%w, and was also of %s: run that one again, with everything that is in its backup (without --keys-only)", ErrUnfinished, part)
		}
	}
	return nil
}

// prepare writes, durably, what is to be put in place. A directory of a restore that
// crashed is emptied, and never away: as long as it is there nobody takes what is half
// restored for whole.
func (b Backup) prepare(o Order, stage string) error {
	if err := durable.MkdirAll(stage, dirPerm); err != nil {
		return err
	}
	old, err := os.ReadDir(stage)
	if err != nil {
		return err
	}
	for _, e := range old {
		if e.Name() == begun { // it is, until this one is done
			continue
		}
		if err := os.RemoveAll(filepath.Join(stage, e.Name())); err != nil {
			return err
		}
	}
	for _, f := range b.files {
		if !within(f.name, o.Parts) {
			continue
		}
		to := filepath.Join(stage, filepath.FromSlash(f.name))
		if err := durable.MkdirAll(filepath.Dir(to), dirPerm); err != nil {
			return err
		}
		if err := durable.WriteFile(to, f.data, filePerm); err != nil {
			return err
		}
	}
	return nil
}

// swap moves what there is aside, and what was prepared in its place. Once it was
// called only a restore can go on.
func swap(o Order, stage, aside string) (moved bool, err error) {
	if err := durable.WriteFile(filepath.Join(stage, begun), []byte(strings.Join(o.Parts, "\n")+"\n"), filePerm); err != nil {
		return false, err
	}
	for _, part := range o.Parts {
		name := filepath.FromSlash(part)
		at, kept := filepath.Join(o.Dir, name), filepath.Join(aside, name)
		if _, err := os.Lstat(at); err == nil {
			if err := durable.MkdirAll(filepath.Dir(kept), dirPerm); err != nil {
				return moved, err
			}
			if err := durable.Rename(at, kept); err != nil {
				return moved, err
			}
			moved = true
		}
		err := durable.Rename(filepath.Join(stage, name), at)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return moved, err
		}
	}
	return moved, nil
}
