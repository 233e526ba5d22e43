package rootfs

import (
	"embed"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A tree is a folder of embedded files, each under its path in the root file system.
type tree struct {
	files embed.FS
	dir   string
}

// names returns the path of every file, sorted.
func (t tree) names() (names []string) {
	// The tree is part of the binary: walking it cannot fail.
	_ = fs.WalkDir(t.files, t.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(path, t.dir+"/"))
		}
		return err
	})
	return names
}

// content returns the content of a file, one of names.
func (t tree) content(name string) []byte {
	content, _ := t.files.ReadFile(t.dir + "/" + name)
	return content
}

// hash adds everything of the tree to h.
func (t tree) hash(h hash.Hash) {
	for _, name := range t.names() {
		// Writing to a hash never fails.
		_, _ = fmt.Fprintln(h, name, len(t.content(name)))
		_, _ = h.Write(t.content(name))
	}
}

// lay writes the files over what the root file system in dir has.
func (t tree) lay(dir string) error {
	for _, name := range t.names() {
		mode := os.FileMode(0o644)
		if filepath.Dir(name) == "usr/sbin" {
			mode = 0o755
		}
		if err := write(filepath.Join(dir, name), t.content(name), mode); err != nil {
			return fmt.Errorf("lay down %s: %w", name, err)
		}
	}
	return nil
}
