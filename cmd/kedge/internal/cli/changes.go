package cli

import (
	"fmt"
	"io"
	"strings"

	"kedge/proto"
)

// changesLine says in one line what changes, such as "2 upgraded, 1 added, +1.5 MiB;
// with a reboot: kernel".
func changesLine(c proto.Changes) string {
	var parts []string
	for _, k := range proto.ChangeKinds() {
		if n := c.Count(k); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, k))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "no package")
	}
	line := strings.Join(append(parts, sizeChange(c.Size)), ", ")
	if len(c.Boot) > 0 {
		line += "; with a reboot: " + strings.Join(c.Boot, ", ")
	}
	return line
}

// drawChanges writes a line for each package that changes.
func drawChanges(w io.Writer, c proto.Changes) {
	var t table
	total := 0
	for _, k := range proto.ChangeKinds() {
		total += c.Count(k)
	}
	for _, p := range c.Packages {
		t.add("  "+string(p.Kind), p.Name, versionChange(p), sizeChange(p.Size))
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

// sizeChange writes a number of bytes that were added or, if it is negative, taken
// away.
func sizeChange(bytes int64) string {
	sign, size := "+", float64(bytes)
	if bytes < 0 {
		sign, size = "-", -size
	}
	unit := 0
	for size /= 1024; size >= 1024 && unit < 2; size /= 1024 {
		unit++
	}
	return fmt.Sprintf("%s%.1f %ciB", sign, size, "KMG"[unit])
}
