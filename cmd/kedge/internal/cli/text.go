package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// A table is rows of cells.
type table [][]string

// add adds a row. Cells may be what a host said: they are made printable.
func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	*t = append(*t, cells)
}

// draw writes the cells of each column below each other, and no blanks at the end
// of a line. An error of w shows where it is next written to.
func (t table) draw(w io.Writer) {
	var aligned bytes.Buffer
	a := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, cells := range t {
		fmt.Fprintln(a, strings.Join(cells, "\t"))
	}
	_ = a.Flush() // a buffer takes everything
	for _, line := range splitLines(aligned.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// ago writes how long ago t was, as coarse as a table likes it.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(now.Sub(t), 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// dash returns s, or a dash for nothing.
func dash[T ~string](s T) string {
	if s == "" {
		return "-"
	}
	return string(s)
}

// printable makes text of a host fit for a terminal: one line, and nothing that
// could draw over what is true, or turn its order round.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s)
}

// Message returns what to tell the user about err. Builds, repositories and hosts
// have a say in many errors, so it is fit for a terminal, as one or more lines.
func Message(err error) string {
	lines := splitLines(err.Error())
	for i, l := range lines {
		lines[i] = printable(l)
	}
	return strings.Join(lines, "\n")
}

// writeJSON writes v, indented.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// splitLines returns the lines of s, without a last empty one.
func splitLines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }

// firstLine returns the first line of s.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
