package nix

import (
	"slices"
	"strings"
)

// NoBuilder reports whether err says that a derivation is for a system, or needs a
// feature, that no machine has which may build: in the words of Nix up to 2.30, and of
// those since.
func NoBuilder(err error) bool {
	if err == nil {
		return false
	}
	return slices.ContainsFunc([]string{
		"is required to build", "Reason: platform mismatch", "Reason: required system or feature not available", "Required system:",
	}, func(words string) bool { return strings.Contains(err.Error(), words) })
}
