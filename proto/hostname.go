package proto

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalidHostName is wrapped by every error of [ParseHostName].
var ErrInvalidHostName = errors.New("invalid host name")

// maxHostName is the longest DNS label (RFC 1035, section 2.3.4).
const maxHostName = 63

// A HostName names one host of the fleet: one DNS label of lower-case letters,
// digits and hyphens that neither begins nor ends with a hyphen, at most 63
// bytes. It is therefore also exactly one token of a NATS subject, and safe as
// a file name.
//
// The zero value names no host. Construct with [ParseHostName].
type HostName struct{ s string }

// ParseHostName returns s as a host name, or an error that wraps
// [ErrInvalidHostName].
func ParseHostName(s string) (HostName, error) {
	if s == "" || len(s) > maxHostName {
		return HostName{}, fmt.Errorf("%w: %q must have 1 to %d characters", ErrInvalidHostName, s, maxHostName)
	}
	if s[0] == '-' || s[len(s)-1] == '-' {
		return HostName{}, fmt.Errorf("%w: %q must not begin or end with a hyphen", ErrInvalidHostName, s)
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return HostName{}, fmt.Errorf("%w: %q must be one DNS label of a-z, 0-9 and hyphens", ErrInvalidHostName, s)
		}
	}
	return HostName{s}, nil
}

// String returns the name, or "" for the zero value.
func (h HostName) String() string { return h.s }

// IsZero reports whether h names no host.
func (h HostName) IsZero() bool { return h.s == "" }

// Compare orders host names as strings.Compare does.
func (h HostName) Compare(o HostName) int { return strings.Compare(h.s, o.s) }

// MarshalText implements encoding.TextMarshaler.
func (h HostName) MarshalText() ([]byte, error) { return []byte(h.s), nil }

// UnmarshalText parses b; see [ParseHostName].
func (h *HostName) UnmarshalText(b []byte) error {
	n, err := ParseHostName(string(b))
	if err != nil {
		return err
	}
	*h = n
	return nil
}
