package cli

import (
	"strings"
)

// because joins those of the texts that there are.
func because(texts ...string) string {
	var parts []string
	for _, s := range texts {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}
