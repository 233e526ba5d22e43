package proto

import (
	"fmt"
	"slices"
)

// parseEnum decodes one of the known values of a string enumeration.
func parseEnum[T ~string](what string, b []byte, known []T) (T, error) {
	v := T(b)
	if !slices.Contains(known, v) {
		return "", fmt.Errorf("unknown %s %q", what, string(b))
	}
	return v, nil
}
