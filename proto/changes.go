package proto

import (
	"fmt"
	"strings"
)

// MaxChangedPackages is how many packages a [Changes] names; the others are only
// counted.
const MaxChangedPackages = 50

// Changes is what one toplevel has otherwise than another one, as `nix store
// diff-closures` tells it.
type Changes struct {
	From StorePath `json:"from"`
	To   StorePath `json:"to"`
	Size int64     `json:"size"` // bytes by which the closure grows
	// How many packages are new, gone, of a higher or a lower version, or otherwise
	// of another one or another size.
	Added      int `json:"added,omitempty"`
	Removed    int `json:"removed,omitempty"`
	Upgraded   int `json:"upgraded,omitempty"`
	Downgraded int `json:"downgraded,omitempty"`
	Changed    int `json:"changed,omitempty"`
	// Boot are the parts that take effect with a reboot only, such as kernel.
	Boot []string `json:"boot,omitempty"`
	// Packages are the first of them, sorted by kind and name. The views of a whole
	// fleet have none.
	Packages []PackageChange `json:"packages,omitempty"`
}

// A PackageChange is what becomes of one package: of all store paths with that name.
type PackageChange struct {
	Name string     `json:"name"`
	Kind ChangeKind `json:"kind"`
	// From and To are the versions that are gone, and those that are new. A package
	// may have none, which is an empty text.
	From []string `json:"from,omitempty"`
	To   []string `json:"to,omitempty"`
	Size int64    `json:"size"` // bytes by which it grows
}

// A ChangeKind says what becomes of a package.
type ChangeKind string

// The kinds, in the order in which packages are listed.
const (
	ChangeUpgraded   ChangeKind = "upgraded"
	ChangeDowngraded ChangeKind = "downgraded"
	ChangeAdded      ChangeKind = "added"
	ChangeRemoved    ChangeKind = "removed"
	ChangeOther      ChangeKind = "changed"
)

// ChangeKinds returns every kind, in order.
func ChangeKinds() []ChangeKind {
	return []ChangeKind{ChangeUpgraded, ChangeDowngraded, ChangeAdded, ChangeRemoved, ChangeOther}
}

// Count returns how many packages changed in a way.
func (c Changes) Count(k ChangeKind) int {
	switch k {
	case ChangeUpgraded:
		return c.Upgraded
	case ChangeDowngraded:
		return c.Downgraded
	case ChangeAdded:
		return c.Added
	case ChangeRemoved:
		return c.Removed
	case ChangeOther:
		return c.Changed
	}
	return 0
}

// String says in one line what changes, such as "2 upgraded, 1 added, +1.5 MiB;
// with a reboot: kernel".
func (c Changes) String() string {
	var parts []string
	for _, k := range ChangeKinds() {
		if n := c.Count(k); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, k))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "no package")
	}
	line := strings.Join(append(parts, SizeChange(c.Size)), ", ")
	if len(c.Boot) > 0 {
		line += "; with a reboot: " + strings.Join(c.Boot, ", ")
	}
	return line
}

// SizeChange writes a number of bytes that were added or, if it is negative, taken
// away.
func SizeChange(bytes int64) string {
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
