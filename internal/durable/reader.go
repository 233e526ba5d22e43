package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A Reader reads a document again and again, and decodes it only when the file is
// another one than the last time, or was changed. It is safe for concurrent use.
// Whoever reads gets the same value: what that refers to is for nobody to change.
//
// It keeps the file open that it read last. An inode that is open is not used
// again, so that a replaced file is always told from the one before, however fast
// they follow on each other. What somebody changes in place is told by its size and
// times, which are as coarse as the clock of the file system: some milliseconds.
type Reader[T any] struct {
	Document Document[T]

	mu    sync.Mutex // guards what follows
	file  *os.File   // that value was read from; nil if there is none
	mark  mark       // of file, from before it was read
	value T
}

// Read is [Document.Read].
func (r *Reader[T]) Read() (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var now unix.Stat_t
	if r.file != nil && unix.Stat(r.Document.Path, &now) == nil && markOf(now) == r.mark {
		return r.value, nil
	}
	var zero T
	if err := r.forget(); err != nil {
		return zero, err
	}
	f, err := os.Open(r.Document.Path)
	if err != nil {
		return zero, err
	}
	v, m, err := r.read(f)
	if err != nil {
		return zero, errors.Join(err, f.Close())
	}
	r.file, r.mark, r.value = f, m, v
	return v, nil
}

func (r *Reader[T]) read(f *os.File) (v T, m mark, err error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil { // first: what changes meanwhile is read anew the next time
		return v, m, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return v, m, err
	}
	v, err = r.Document.decode(data)
	return v, markOf(s), err
}

// forget lets go of what was read.
func (r *Reader[T]) forget() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	var zero T
	r.file, r.mark, r.value = nil, mark{}, zero
	return f.Close()
}

// A mark tells one file from others, and from what it was before it was changed.
type mark struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

func markOf(s unix.Stat_t) mark {
	return mark{dev: s.Dev, ino: s.Ino, size: s.Size, mtime: s.Mtim, ctime: s.Ctim}
}
