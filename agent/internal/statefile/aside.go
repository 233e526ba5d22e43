package statefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"kedge/internal/durable"
)

// An AsideError says that a document could not be understood, and was set aside.
type AsideError struct {
	Name  string // of the document
	Aside string // the file that it is in now
	Err   error
}

// Error implements error.
func (e *AsideError) Error() string {
	return fmt.Sprintf("%s could not be read, is kept in %s, and begins anew: %v", e.Name, e.Aside, e.Err)
}

// Unwrap returns why it could not be read.
func (e *AsideError) Unwrap() error { return e.Err }

// Remembered reads a document that only remembers what is over, and that nothing is decided
// by: the zero value if it is missing. One that is torn, or of another version, is not
// guessed at but set aside, for a person to look at; then the zero value comes with an
// [*AsideError], once, and whoever writes it next begins anew. Of two that were set aside
// the last is kept.
func Remembered[T any](doc durable.Document[T]) (T, error) {
	v, err := read(doc)
	if !foreign(err) {
		return v, err
	}
	var zero T
	aside := doc.Path + ".unreadable"
	if failed := os.Rename(doc.Path, aside); failed != nil {
		return zero, fmt.Errorf("set %s aside: %w", filepath.Base(doc.Path), errors.Join(err, failed))
	}
	return zero, &AsideError{Name: filepath.Base(doc.Path), Aside: aside, Err: err}
}

// foreign reports whether err says that a document is torn, or of another
// version.
func foreign(err error) bool {
	if _, torn := errors.AsType[*durable.CorruptError](err); torn {
		return true
	}
	_, other := errors.AsType[*durable.FormatError](err)
	return other
}
