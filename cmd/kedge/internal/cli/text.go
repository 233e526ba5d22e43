package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"kedge/internal/terminal"
)

// A table is rows of cells.
type table [][]string

// add adds a row. Cells may be what a host said: they are made printable.
func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = terminal.Printable(cells[i])
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

// Message returns what to tell the user about err. Builds, repositories and hosts
// have a say in many errors, so it is fit for a terminal, as one or more lines.
func Message(err error) string {
	lines := splitLines(err.Error())
	for i, l := range lines {
		lines[i] = terminal.Printable(l)
	}
	return strings.Join(lines, "\n")
}

// splitLines returns the lines of s, without a last empty one.
func splitLines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }
