package nix

import (
	"errors"
	"slices"
	"strings"
	"syscall"
)

// DiskFull reports whether err says that there is no room left, or no quota: as
// the kernel says it, or a command in its own words, which are all there is of it.
func DiskFull(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	said := err.Error()
	if failed, ok := errors.AsType[*CommandError](err); ok {
		said += failed.Stderr // more than its text shows
	}
	said = strings.ToLower(said)
	return slices.ContainsFunc([]string{
		"no space left on device", "disk quota exceeded", "database or disk is full",
	}, func(words string) bool { return strings.Contains(said, words) })
}
