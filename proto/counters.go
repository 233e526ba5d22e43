package proto

import (
	"errors"
	"fmt"
	"strconv"
)

// A Generation is the number of a link system-<number>-link of the system
// profile. Zero is no generation: Nix numbers them from 1.
type Generation uint64

// String returns the number in decimal, or "-" for no generation.
func (g Generation) String() string {
	if g == 0 {
		return "-"
	}
	return strconv.FormatUint(uint64(g), 10)
}

// A Serial orders what is said to one host. Zero was never said; every new
// statement has a higher serial than all before it.
type Serial uint64

// MaxSerialJump is the furthest that a serial may run ahead of the one before
// it; before the first was zero. It keeps one bad message from using up the number
// space.
const MaxSerialJump Serial = 1 << 32

// String returns the number in decimal.
func (s Serial) String() string { return strconv.FormatUint(uint64(s), 10) }

// ErrInvalidRevision is wrapped by every error of [ParseRevision].
var ErrInvalidRevision = errors.New("invalid revision")

const (
	maxRevision   = 64 // SHA-256 in hexadecimal
	shortRevision = 10
)

// A Revision is a git object name: 40 or 64 lower-case hexadecimal digits.
// The zero value is no revision, for systems that did not come from git, and
// is encoded as "". Construct with [ParseRevision].
type Revision struct{ s string }

// ParseRevision returns s as a revision, or an error that wraps
// [ErrInvalidRevision].
func ParseRevision(s string) (Revision, error) {
	if len(s) != 40 && len(s) != maxRevision {
		return Revision{}, fmt.Errorf("%w: %q must have 40 or 64 hexadecimal digits", ErrInvalidRevision, s)
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Revision{}, fmt.Errorf("%w: %q has %q, which is not a lower-case hexadecimal digit", ErrInvalidRevision, s, c)
		}
	}
	return Revision{s}, nil
}

// String returns the whole revision, or "" for none.
func (r Revision) String() string { return r.s }

// Short returns the first digits, for tables, or "-" for none.
func (r Revision) Short() string {
	if r.s == "" {
		return "-"
	}
	return r.s[:shortRevision]
}

// IsZero reports whether r is no revision.
func (r Revision) IsZero() bool { return r.s == "" }

// MarshalText implements encoding.TextMarshaler.
func (r Revision) MarshalText() ([]byte, error) { return []byte(r.s), nil }

// UnmarshalText parses b; see [ParseRevision]. Empty text is the zero value.
func (r *Revision) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*r = Revision{}
		return nil
	}
	v, err := ParseRevision(string(b))
	if err != nil {
		return err
	}
	*r = v
	return nil
}
