package backup

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// maxSize bounds what a backup unpacks to: far more than the largest fleet's.
const maxSize = 4 << 30

// A Backup is the content of a whole file.
type Backup struct {
	Head

	files []file
}

// file is a file with its name below the state directory.
type file struct {
	name string
	data []byte
}

// Load reads a backup to its end. One that is damaged, cut short or of a format that
// is not known is an error, and so is one that by opens not. Parts are what this
// version knows to put back.
func Load(r io.Reader, parts []string, by ...age.Identity) (Backup, error) {
	plain, err := age.Decrypt(r, by...)
	if err != nil {
		return Backup{}, fmt.Errorf("open the backup: %w", err)
	}
	packed, err := zstd.NewReader(plain)
	if err != nil {
		return Backup{}, fmt.Errorf("open the backup: %w", err)
	}
	defer packed.Close()
	whole := &io.LimitedReader{R: packed, N: maxSize}
	b, err := read(tar.NewReader(whole), parts)
	if err != nil {
		return Backup{}, fmt.Errorf("read the backup: %w", err)
	}
	if _, err := io.Copy(io.Discard, whole); err != nil { // up to the seal of its end
		return Backup{}, fmt.Errorf("read the backup to its end: %w", err)
	}
	if whole.N == 0 {
		return Backup{}, fmt.Errorf("read the backup: it unpacks to more than %d bytes", int64(maxSize))
	}
	return b, nil
}

func read(archive *tar.Reader, parts []string) (b Backup, err error) {
	first, err := next(archive)
	if err != nil {
		return b, err
	}
	if first.name != headName {
		return b, errors.New("it is no backup of a controller")
	}
	if err := json.Unmarshal(first.data, &b.Head); err != nil {
		return b, fmt.Errorf("%s: %w", headName, err)
	}
	if b.Format != format1 {
		return b, fmt.Errorf("format %d is not one that this version reads (%d): use kedge-controller %s, which wrote it", b.Format, format1, b.Version)
	}
	for {
		f, err := next(archive)
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
		if !within(f.name, parts) {
			return b, fmt.Errorf("it holds %q, which this version does not know: use kedge-controller %s, which wrote it", f.name, b.Version)
		}
		b.files = append(b.files, f)
	}
}

// next returns the next file; at the end the error is io.EOF.
func next(archive *tar.Reader) (file, error) {
	h, err := archive.Next()
	if err != nil {
		return file{}, err
	}
	if h.Typeflag != tar.TypeReg {
		return file{}, fmt.Errorf("%q is no regular file", h.Name)
	}
	data, err := io.ReadAll(archive)
	if err != nil {
		return file{}, fmt.Errorf("%q: %w", h.Name, err)
	}
	return file{name: h.Name, data: data}, nil
}
