// Package manual writes what there is to read about a program: a man page for each of its commands, and
// all of them in one Markdown file. Both are made from the commands themselves and are part of the
// repository, below docs; a test of each program says when they are not what it does any more, and
// writes them anew with -update.
package manual

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Where the files are, below the directory of all documentation.
const (
	pagesDir     = "man"
	referenceDir = "reference"
)

// Check returns the names of the files below dir, the directory of all documentation, that are not what the program
// that root is would have; after writing them anew if update is true. It changes root.
func Check(dir string, root *cobra.Command, update bool) (drift []string, err error) {
	files, err := pages(root)
	if err != nil {
		return nil, err
	}
	if update {
		if err := write(dir, root.Name(), files); err != nil {
			return nil, err
		}
	}
	return compare(dir, root.Name(), files)
}

// pages returns the files of a program, by their names below the directory of all documentation, such as
// man/kedge-host-add.1 and reference/kedge.md. It changes root.
func pages(root *cobra.Command) (map[string][]byte, error) {
	root.DisableAutoGenTag = true // it is the day's
	files := map[string][]byte{}
	var reference bytes.Buffer
	err := each(root, func(c *cobra.Command) error {
		name := strings.ReplaceAll(c.CommandPath(), " ", "-")
		var page bytes.Buffer
		if err := doc.GenMan(c, header(name), &page); err != nil {
			return fmt.Errorf("man page of %s: %w", c.CommandPath(), err)
		}
		files[filepath.Join(pagesDir, name+".1")] = page.Bytes()
		if err := doc.GenMarkdownCustom(c, &reference, anchor); err != nil {
			return fmt.Errorf("reference of %s: %w", c.CommandPath(), err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	files[filepath.Join(referenceDir, root.Name()+".md")] = reference.Bytes()
	return files, nil
}

// each calls f for root and everything below it that people are to see, in order.
func each(root *cobra.Command, f func(*cobra.Command) error) error {
	if err := f(root); err != nil {
		return err
	}
	for _, c := range root.Commands() {
		if !c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := each(c, f); err != nil {
			return err
		}
	}
	return nil
}

func header(name string) *doc.GenManHeader {
	written := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC) // of the manual, not of the day
	return &doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Date: &written, Source: "Kedge", Manual: "Kedge"}
}

// anchor turns the file that a command would have into its heading in the one that it is in.
func anchor(file string) string {
	return "#" + strings.ReplaceAll(strings.TrimSuffix(file, ".md"), "_", "-")
}

// write writes pages below dir, and removes those of the program that are no more.
func write(dir, program string, pages map[string][]byte) error {
	old, err := written(dir, program)
	if err != nil {
		return err
	}
	for name := range old {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for name, text := range pages {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // everybody may read it
			return err
		}
	}
	return nil
}

// compare returns the names of the files that differ from what is below dir, or are on one side only.
func compare(dir, program string, pages map[string][]byte) (names []string, err error) {
	old, err := written(dir, program)
	if err != nil {
		return nil, err
	}
	for name, text := range pages {
		if was, there := old[name]; !there || !bytes.Equal(was, text) {
			names = append(names, name)
		}
		delete(old, name)
	}
	for name := range old {
		names = append(names, name)
	}
	return names, nil
}

// written returns what is below dir about a program.
func written(dir, program string) (map[string][]byte, error) {
	pages, err := filepath.Glob(filepath.Join(dir, pagesDir, program+"*.1"))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, path := range append(pages, filepath.Join(dir, referenceDir, program+".md")) {
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, err
		}
		if others(program, filepath.Base(path)) {
			continue
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files[name] = text
	}
	return files, nil
}

// others reports whether a file is of another program, whose name begins with this one's.
func others(program, file string) bool {
	for _, other := range []string{"kedge-agent", "kedge-controller"} {
		if other != program && strings.HasPrefix(file, other) {
			return true
		}
	}
	return false
}
