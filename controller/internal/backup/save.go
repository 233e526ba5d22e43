package backup

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

const (
	// format1 is the only format of a backup so far.
	format1 = 1
	// headName is the first file of a backup, which says what the others are.
	headName = "kedge-backup.json"

	filePerm fs.FileMode = 0o600
	dirPerm  fs.FileMode = 0o700
)

// A Head says what a backup is of.
type Head struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Version string    `json:"version"` // of the controller
	Host    string    `json:"host"`    // the machine's name
	// Parts are the files and directories that it is of, also those that there were
	// none of.
	Parts []string `json:"parts"`
}

// Save writes the parts of dir, in their order, to w, encrypted to recipients.
func Save(w io.Writer, dir string, h Head, to []age.Recipient) error {
	h.Format = format1
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	packed, err := zstd.NewWriter(sealed)
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	archive := tar.NewWriter(packed)
	err = errors.Join(add(archive, dir, h), archive.Close(), packed.Close(), sealed.Close())
	if err != nil {
		return fmt.Errorf("back up %s: %w", dir, err)
	}
	return nil
}

func add(archive *tar.Writer, dir string, h Head) error {
	head, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := addFile(archive, headName, head, h.Made); err != nil {
		return err
	}
	for _, part := range h.Parts {
		err := walk(dir, part, func(name string, data []byte) error { return addFile(archive, name, data, h.Made) })
		if err != nil {
			return err
		}
	}
	return nil
}

func addFile(archive *tar.Writer, name string, data []byte, made time.Time) error {
	err := archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: int64(filePerm), ModTime: made, Format: tar.FormatPAX,
	})
	if err != nil {
		return err
	}
	_, err = archive.Write(data)
	return err
}

// walk calls do with every file of a part, sorted, under its name below dir. A part
// that is not there has none. What a write left that never ended is no file, and what
// is removed meanwhile need not be seen.
func walk(dir, part string, do func(name string, data []byte) error) error {
	return filepath.WalkDir(filepath.Join(dir, filepath.FromSlash(part)), func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return do(filepath.ToSlash(name), data)
	})
}

// within reports whether a file belongs to one of parts.
func within(name string, parts []string) bool {
	return path.Clean(name) == name && filepath.IsLocal(name) && slices.ContainsFunc(parts, func(part string) bool {
		return name == part || strings.HasPrefix(name, part+"/")
	})
}
