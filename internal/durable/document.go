package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// defaultPerm is for the owner alone: documents are state, not configuration.
const defaultPerm fs.FileMode = 0o600

// A Document is a file with one JSON object of type T, replaced whole and
// durably. Its "format" key belongs to Document; T has no such key.
//
// Readers ignore keys that they do not know, so that adding one to T needs no
// new format, and what a new version wrote stays readable for the version
// before it.
type Document[T any] struct {
	// Path of the file; its directory must exist.
	Path string
	// Format that Write writes, at least 1.
	Format int
	// Oldest format that Read still accepts; zero means Format.
	Oldest int
	// Perm of the file; zero means 0600.
	Perm fs.FileMode
}

// A CorruptError says that a document is there and cannot be understood. It is
// never to be taken for a missing one: deciding what is lost takes a person.
type CorruptError struct {
	Path string
	Err  error
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("read %s: the file is damaged (%v); restore it, or move it away to start without it", e.Path, e.Err)
}

// Unwrap returns what the JSON decoder said.
func (e *CorruptError) Unwrap() error { return e.Err }

// A FormatError says that another version of this program wrote a document, in
// a format that this one does not know.
type FormatError struct {
	Path string
	// Got is the format of the file; zero if it names none.
	Got int
	// Oldest and Newest are the formats that this version reads.
	Oldest, Newest int
}

// Error implements error.
func (e *FormatError) Error() string {
	supported := fmt.Sprintf("format %d", e.Newest)
	if e.Oldest < e.Newest {
		supported = fmt.Sprintf("formats %d to %d", e.Oldest, e.Newest)
	}
	advice := "use the version that wrote it, or move it away to start without it"
	if e.Got == 0 {
		return fmt.Sprintf("read %s: it names no format, and this version reads %s; %s", e.Path, supported, advice)
	}
	age := "older"
	if e.Got > e.Newest {
		age = "newer"
	}
	return fmt.Sprintf("read %s: format %d is %s than this version reads (%s); %s", e.Path, e.Got, age, supported, advice)
}

// Read returns the content of the file. A missing file is an error that wraps
// fs.ErrNotExist; one that is torn or holds invalid values is a
// [*CorruptError]; one in a format outside Oldest to Format, or without one, is
// a [*FormatError].
func (d Document[T]) Read() (T, error) {
	var zero T
	data, err := os.ReadFile(d.Path)
	if err != nil {
		return zero, err // names operation and path already
	}
	return d.decode(data)
}

// decode returns the content of a file that holds data; the errors are those of Read.
func (d Document[T]) decode(data []byte) (T, error) {
	var zero T
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return zero, &CorruptError{Path: d.Path, Err: err}
	}
	oldest := d.Oldest
	if oldest == 0 {
		oldest = d.Format
	}
	if head.Format < oldest || head.Format > d.Format {
		return zero, &FormatError{Path: d.Path, Got: head.Format, Oldest: oldest, Newest: d.Format}
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return zero, &CorruptError{Path: d.Path, Err: err}
	}
	return v, nil
}

// Write replaces the file by v in format Format; see [WriteFile].
func (d Document[T]) Write(v T) error {
	data, err := encode(d.Format, v)
	if err != nil {
		return fmt.Errorf("write %s: %w", d.Path, err)
	}
	perm := d.Perm
	if perm == 0 {
		perm = defaultPerm
	}
	return WriteFile(d.Path, data, perm)
}

// Remove deletes the file; see the function [Remove].
func (d Document[T]) Remove() error { return Remove(d.Path) }

// encode returns v as an indented JSON object that begins with its format.
func encode(format int, v any) ([]byte, error) {
	if format < 1 {
		return nil, fmt.Errorf("format must be at least 1, got %d", format)
	}
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(body, []byte("{"))
	if !ok {
		return nil, errors.New("a document must be a JSON object")
	}
	if rest[0] != '}' {
		rest = append([]byte(","), rest...)
	}
	object := fmt.Appendf(nil, `{"format":%d%s`, format, rest)
	var out bytes.Buffer
	if err := json.Indent(&out, object, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
