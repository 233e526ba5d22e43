package cli

import (
	"fmt"
	"io"

	"kedge/internal/summary"
	"kedge/proto"
)

// drawChanges writes a line for each package that changes.
func drawChanges(w io.Writer, c proto.Changes) {
	var t table
	total := 0
	for _, k := range proto.ChangeKinds() {
		total += c.Count(k)
	}
	for _, p := range c.Packages {
		t.add("  "+string(p.Kind), p.Name, summary.Versions(p), proto.SizeChange(p.Size))
	}
	t.draw(w)
	if more := total - len(c.Packages); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}
