// Package tree makes a folder of files and links by what is asked for in JSON: what a builder of Nix
// does for a system of a test host, in one process.
package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A Tree is what a folder is to hold, by paths below it. Folders are made where something lies in them.
type Tree struct {
	Waits  string   // a FIFO that is read to its end before anything is made, if there is one
	Fails  string   // if set, nothing is made and this is what went wrong
	Checks []string // store paths that had to be built before

	Folders  []string            // empty ones
	Files    map[string]string   // text
	Programs map[string]string   // text, executable
	Links    map[string]string   // target
	LinkAll  map[string][]string // folders, to whose entries there is a link of the same name
}

// Parse reads a tree from JSON. What it does not know is an error.
func Parse(text []byte) (Tree, error) {
	var t Tree
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Tree{}, fmt.Errorf("parse tree: %w", err)
	}
	return t, nil
}

// Make makes the folder out, which must not exist yet. What it made before an error stays.
func (t Tree) Make(out string) error {
	if err := t.wait(); err != nil {
		return err
	}
	if t.Fails != "" {
		return errors.New(t.Fails)
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	m := maker{out: out, made: map[string]bool{out: true}}
	for _, path := range t.Folders {
		m.folder(filepath.Join(out, path))
	}
	for path, text := range t.Files {
		m.file(path, text, 0o644)
	}
	for path, text := range t.Programs {
		m.file(path, text, 0o755)
	}
	for path, target := range t.Links {
		m.link(path, target)
	}
	for path, folders := range t.LinkAll {
		m.linkAll(path, folders)
	}
	return errors.Join(m.errs...)
}

// wait reads the FIFO to its end.
func (t Tree) wait() error {
	info, err := os.Stat(t.Waits)
	if err != nil || info.Mode().Type() != os.ModeNamedPipe {
		return nil //nolint:nilerr // there is nothing to wait for
	}
	_, err = os.ReadFile(t.Waits)
	return err
}

// A maker makes a tree in out and remembers what went wrong.
type maker struct {
	out  string
	made map[string]bool // folders that are there
	errs []error
}

func (m *maker) did(err error) {
	if err != nil {
		m.errs = append(m.errs, err)
	}
}

func (m *maker) folder(path string) {
	if !m.made[path] {
		m.did(os.MkdirAll(path, 0o755))
		m.made[path] = true
	}
}

// at returns where a path is, in a folder that is there.
func (m *maker) at(path string) string {
	path = filepath.Join(m.out, path)
	m.folder(filepath.Dir(path))
	return path
}

func (m *maker) file(path, text string, mode os.FileMode) {
	m.did(os.WriteFile(m.at(path), []byte(text), mode))
}

func (m *maker) link(path, target string) {
	m.did(os.Symlink(target, m.at(path)))
}

func (m *maker) linkAll(path string, folders []string) {
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		m.did(err)
		for _, e := range entries {
			m.link(filepath.Join(path, e.Name()), filepath.Join(folder, e.Name()))
		}
	}
}
