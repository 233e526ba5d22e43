package proto

import (
	"errors"
	"fmt"
	"strings"
)

// StoreDir is the directory of the Nix store, with its final slash. Stores
// elsewhere are not supported: NixOS has none.
const StoreDir = "/nix/store/"

// ErrInvalidStorePath is wrapped by every error of [ParseStorePath].
var ErrInvalidStorePath = errors.New("invalid store path")

const (
	storeHashLen = 32  // nix: StorePath::HashLen
	storeNameMax = 211 // nix: StorePath::MaxPathLen
	// nixBase32 leaves out e, o, u and t (nix: libutil/hash.cc).
	nixBase32 = "0123456789abcdfghijklmnpqrsvwxyz"
)

// A StorePath is the path of one object in the Nix store, such as
// /nix/store/<32 characters of hash>-nixos-system-web1: never a path below an
// object, never one with a "..".
//
// The zero value is no path, and is encoded as "". Construct with
// [ParseStorePath].
type StorePath struct{ s string }

// ParseStorePath returns s as a store path, or an error that wraps
// [ErrInvalidStorePath].
func ParseStorePath(s string) (StorePath, error) {
	base, ok := strings.CutPrefix(s, StoreDir)
	if !ok {
		return StorePath{}, fmt.Errorf("%w: %q is not below %s", ErrInvalidStorePath, s, StoreDir)
	}
	if strings.ContainsRune(base, '/') {
		return StorePath{}, fmt.Errorf("%w: %q is below a store object, not one itself", ErrInvalidStorePath, s)
	}
	if len(base) < storeHashLen+2 || base[storeHashLen] != '-' {
		return StorePath{}, fmt.Errorf("%w: %q must be <%d characters of hash>-<name>", ErrInvalidStorePath, s, storeHashLen)
	}
	for i := range storeHashLen {
		if strings.IndexByte(nixBase32, base[i]) < 0 {
			return StorePath{}, fmt.Errorf("%w: %q has %q in its hash, which is not Nix base 32", ErrInvalidStorePath, s, base[i])
		}
	}
	name := base[storeHashLen+1:]
	if len(name) > storeNameMax {
		return StorePath{}, fmt.Errorf("%w: %q has a name of more than %d characters", ErrInvalidStorePath, s, storeNameMax)
	}
	if first, _, _ := strings.Cut(name, "-"); first == "." || first == ".." { // nix: checkName
		return StorePath{}, fmt.Errorf("%w: the name of %q begins with %q", ErrInvalidStorePath, s, first)
	}
	for i := range len(name) {
		if !isStoreNameByte(name[i]) {
			return StorePath{}, fmt.Errorf("%w: %q has %q in its name", ErrInvalidStorePath, s, name[i])
		}
	}
	return StorePath{s}, nil
}

func isStoreNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("+-._?=", c) >= 0
}

// String returns the whole path, or "" for the zero value.
func (p StorePath) String() string { return p.s }

// IsZero reports whether p is no path.
func (p StorePath) IsZero() bool { return p.s == "" }

// Base returns the path without [StoreDir]: a safe file name, unique per path.
func (p StorePath) Base() string { return strings.TrimPrefix(p.s, StoreDir) }

// Hash returns the 32 characters of hash, which name the path in a binary
// cache.
func (p StorePath) Hash() string {
	if p.s == "" {
		return ""
	}
	return p.Base()[:storeHashLen]
}

// Compare orders store paths as strings.Compare does.
func (p StorePath) Compare(o StorePath) int { return strings.Compare(p.s, o.s) }

// MarshalText implements encoding.TextMarshaler.
func (p StorePath) MarshalText() ([]byte, error) { return []byte(p.s), nil }

// UnmarshalText parses b; see [ParseStorePath]. Empty text is the zero value.
func (p *StorePath) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*p = StorePath{}
		return nil
	}
	sp, err := ParseStorePath(string(b))
	if err != nil {
		return err
	}
	*p = sp
	return nil
}
