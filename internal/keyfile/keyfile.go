// Package keyfile keeps one signing key in one file, in Nix's format, so that
// Nix can sign with the same file.
//
// A key is made on first use and never replaced: hosts trust it. Rotating it is
// a deed of its own.
package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/internal/durable"
	"kedge/proto"
)

const (
	// filePerm keeps a key to its owner.
	filePerm fs.FileMode = 0o600
	dirPerm  fs.FileMode = 0o700
)

// Open returns the key in the file at path. Where there is no such file it
// first makes a key called name, with randomness from rand, and is sure that
// it is on the disk. The name in an existing file may be another.
//
// A file that holds no key, or that others may read, is an error and is left
// as it is: see [DamagedError] and [ExposedError].
func Open(path, name string, rand io.Reader) (proto.SecretKey, error) {
	key, err := Read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key, err = proto.GenerateKey(name, rand)
	if err != nil {
		return proto.SecretKey{}, fmt.Errorf("make key file %s: %w", path, err)
	}
	if err := durable.MkdirAll(filepath.Dir(path), dirPerm); err != nil {
		return proto.SecretKey{}, fmt.Errorf("make key file %s: %w", path, err)
	}
	if err := durable.WriteFile(path, []byte(key.Reveal()+"\n"), filePerm); err != nil {
		return proto.SecretKey{}, fmt.Errorf("make key file %s: %w", path, err)
	}
	return key, nil
}

// Read returns the key in the file at path; see [Open]. What is no regular file,
// such as a pipe, nobody else can read.
func Read(path string) (proto.SecretKey, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return proto.SecretKey{}, err
	}
	if perm := stat.Mode().Perm(); stat.Mode().IsRegular() && perm&^filePerm != 0 {
		return proto.SecretKey{}, &ExposedError{Path: path, Perm: perm}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return proto.SecretKey{}, err
	}
	key, err := proto.ParseSecretKey(string(text))
	if err != nil {
		return proto.SecretKey{}, &DamagedError{Path: path, Err: err}
	}
	return key, nil
}

// A DamagedError says that a key file is there and holds no key. Making a new
// key in its place would lock out every host that trusts the old one.
type DamagedError struct {
	Path string
	Err  error
}

// Error implements error. It never holds the key.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("key file %s is damaged (%v); restore it from a backup: hosts trust the key that was in it", e.Path, e.Err)
}

// Unwrap returns what is wrong with the content.
func (e *DamagedError) Unwrap() error { return e.Err }

// An ExposedError says that others than the owner may read or write a key
// file.
type ExposedError struct {
	Path string
	Perm fs.FileMode
}

// Error implements error.
func (e *ExposedError) Error() string {
	return fmt.Sprintf("key file %s has permissions %#o, want %#o; if nobody else can have read it: chmod 600 %s", e.Path, e.Perm, filePerm, e.Path)
}
