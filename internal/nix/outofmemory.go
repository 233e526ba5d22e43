package nix

import (
	"errors"
	"strings"
)

// OutOfMemory reports whether a command of Nix failed because it may use no more
// memory.
func OutOfMemory(err error) bool {
	failed, ok := errors.AsType[*CommandError](err)
	return ok && (strings.Contains(failed.Stderr, "error: out of memory") || strings.Contains(failed.Stderr, "std::bad_alloc"))
}
