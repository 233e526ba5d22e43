package summary

import (
	"strings"

	"kedge/proto"
)

// Versions says which versions go and which come, as nix store diff-closures
// does: ∅ is none, and ε one without a version.
func Versions(p proto.PackageChange) string {
	if len(p.From) == 0 && len(p.To) == 0 {
		return "-"
	}
	return list(p.From) + " → " + list(p.To)
}

func list(names []string) string {
	if len(names) == 0 {
		return "∅"
	}
	var shown []string
	for _, v := range names {
		if v == "" {
			v = "ε"
		}
		shown = append(shown, v)
	}
	return strings.Join(shown, ", ")
}
