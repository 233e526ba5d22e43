package nix

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
)

// A File is a directory, a regular file or a symbolic link that is to be added to the
// store.
type File struct {
	// Entries are what is in a directory, by name; nil if it is none.
	Entries map[string]*File
	// Executable and Symlink say what it is, if it is no directory.
	Executable, Symlink bool
	// Open returns the contents of a file, or the target of a link, and how many
	// bytes that is. It is called once, and not before what was opened before is closed.
	Open func() (contents io.ReadCloser, size int64, err error)
}

// Text returns a regular file with that text.
func Text(text string) *File {
	return &File{Open: func() (io.ReadCloser, int64, error) {
		return io.NopCloser(strings.NewReader(text)), int64(len(text)), nil
	}}
}

// writeTree writes a file in Nix's archive format (NAR), which has all that
// counts of it, in one order.
func (c *wire) writeTree(f *File) {
	c.writeTexts("nix-archive-1")
	c.writeFile(f, "")
}

// writeFile writes a file, which is at a path in the tree.
func (c *wire) writeFile(f *File, at string) {
	c.writeTexts("(", "type")
	switch {
	case f.Entries != nil:
		c.writeTexts("directory")
		for _, name := range slices.Sorted(maps.Keys(f.Entries)) {
			c.writeTexts("entry", "(", "name", name, "node")
			c.writeFile(f.Entries[name], at+"/"+name)
			c.writeTexts(")")
		}
	case f.Symlink:
		c.writeTexts("symlink", "target")
		c.writeContents(f, at)
	default:
		c.writeTexts("regular")
		if f.Executable {
			c.writeTexts("executable", "")
		}
		c.writeTexts("contents")
		c.writeContents(f, at)
	}
	c.writeTexts(")")
}

// writeContents writes as many bytes as there are said to be.
func (c *wire) writeContents(f *File, at string) {
	if c.err != nil {
		return
	}
	contents, size, err := f.Open()
	if err == nil {
		c.writeNumbers(uint64(size)) //nolint:gosec // a size is not negative
		if _, err = io.CopyN(c.to, contents, size); errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		_, _ = c.to.Write(make([]byte, padding(uint64(size)))) //nolint:gosec // as above
		if closed := contents.Close(); err == nil {
			err = closed
		}
	}
	if _, told := c.to.Write(nil); told != nil {
		c.err = told // it is not the file
	} else if err != nil {
		c.err = &fileError{path: strings.TrimPrefix(at, "/"), err: err}
	}
}

// A fileError says that a file of a tree cannot be read.
type fileError struct {
	path string
	err  error
}

func (e *fileError) Error() string { return e.path + ": " + e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }
