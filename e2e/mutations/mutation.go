package mutations

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

//go:embed list/*.txt
var list embed.FS

// A Mutation is one way to break the code.
type Mutation struct {
	Group string // the part of the code
	What  string // is broken, in words
	File  string // from the module's folder
	Test  string // that turns red
	Dir   string // of the test's package, from the module's folder

	edits []edit
}

// An edit replaces whole lines of a file.
type edit struct{ before, after []string }

// All returns every mutation, in the order of the list.
func All() ([]Mutation, error) {
	files, err := fs.Glob(list, "list/*.txt")
	if err != nil {
		return nil, err
	}
	var all []Mutation
	for _, name := range files {
		b, err := list.ReadFile(name)
		if err != nil {
			return nil, err
		}
		some, err := parse(string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// parse reads one file of the list.
func parse(text string) ([]Mutation, error) {
	header, text, found := strings.Cut(text, "\n\n")
	group, isGroup := strings.CutPrefix(header, "# ")
	if !found || !isGroup {
		return nil, errors.New("it does not begin with the name of a part of the code")
	}
	var all []Mutation
	for block := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		m, err := parseBlock(strings.Split(block, "\n"))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", block, err)
		}
		m.Group = group
		all = append(all, m)
	}
	return all, nil
}

func parseBlock(lines []string) (m Mutation, err error) {
	if len(lines) < 3 {
		return m, errors.New("want what is broken, where, and lines")
	}
	where := strings.Fields(lines[1])
	switch len(where) {
	case 2:
		where = append(where, path.Dir(where[0]))
	case 3:
	default:
		return m, fmt.Errorf("want a file, a test and perhaps its package, got %q", lines[1])
	}
	m = Mutation{What: lines[0], File: where[0], Test: where[1], Dir: where[2]}
	for _, line := range lines[2:] {
		text, removed := strings.CutPrefix(line, "-")
		if removed && (len(m.edits) == 0 || m.edits[len(m.edits)-1].after != nil) {
			m.edits = append(m.edits, edit{})
		}
		added := false
		if !removed {
			text, added = strings.CutPrefix(line, "+")
		}
		switch {
		case len(m.edits) == 0 || !removed && !added:
			return m, fmt.Errorf("want a line of the file, got %q", line)
		case removed:
			m.edits[len(m.edits)-1].before = append(m.edits[len(m.edits)-1].before, text)
		case added:
			m.edits[len(m.edits)-1].after = append(m.edits[len(m.edits)-1].after, text)
		}
	}
	return m, nil
}

// Apply returns m's file, of the module in the folder root, as m breaks it. It
// fails if the lines that m replaces are not there exactly once.
func (m Mutation) Apply(root string) (content []byte, err error) {
	b, err := os.ReadFile(filepath.Join(root, m.File))
	if err != nil {
		return nil, fmt.Errorf("break %s: %w", m, err)
	}
	text := "\n" + string(b)
	for _, e := range m.edits {
		before, after := joined(e.before), joined(e.after)
		if n := strings.Count(text, before); n != 1 {
			return nil, fmt.Errorf("break %s: %d times in %s, want once:%s", m, n, m.File, before)
		}
		text = strings.Replace(text, before, after, 1)
	}
	return []byte(strings.TrimPrefix(text, "\n")), nil
}

// joined returns lines with the ends of line around them.
func joined(lines []string) string {
	if len(lines) == 0 {
		return "\n"
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}

// String names m.
func (m Mutation) String() string { return m.Group + ": " + m.What }
