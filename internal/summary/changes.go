package summary

import (
	"fmt"
	"strings"

	"kedge/proto"
)

// Changes says in one line what changes, such as "2 upgraded, 1 added, +1.5 MiB;
// with a reboot: kernel".
func Changes(c proto.Changes) string {
	var parts []string
	for _, k := range proto.ChangeKinds() {
		if n := c.Count(k); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, k))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "no package")
	}
	line := strings.Join(append(parts, Size(c.Size)), ", ")
	if len(c.Boot) > 0 {
		line += "; with a reboot: " + strings.Join(c.Boot, ", ")
	}
	return line
}

// Versions says which versions go and which come, as nix store diff-closures
// does: ∅ is none, and ε one without a version.
func Versions(p proto.PackageChange) string {
	if len(p.From) == 0 && len(p.To) == 0 {
		return "-"
	}
	return list(p.From) + " → " + list(p.To)
}

func list(list []string) string {
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

// Size writes a number of bytes that were added or, if it is negative, taken
// away.
func Size(bytes int64) string {
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
