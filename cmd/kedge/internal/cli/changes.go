package cli

import (
	"fmt"
	"io"
	"strings"

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
		t.add("  "+string(p.Kind), p.Name, versionChange(p), proto.SizeChange(p.Size))
	}
	t.draw(w)
	if more := total - len(c.Packages); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}

// versionChange says which versions go and which come, as nix store diff-closures
// does: ∅ is none, and ε one without a version.
func versionChange(p proto.PackageChange) string {
	if len(p.From) == 0 && len(p.To) == 0 {
		return "-"
	}
	return versions(p.From) + " → " + versions(p.To)
}

func versions(list []string) string {
	if len(list) == 0 {
		return "∅"
	}
	var shown []string
	for _, v := range list {
		if v == "" {
			v = "ε"
		}
		shown = append(shown, v)
	}
	return strings.Join(shown, ", ")
}
