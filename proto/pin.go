package proto

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ErrInvalidPin says that a text is no pin.
var ErrInvalidPin = errors.New("invalid pin")

// pinPrefix begins the text of a pin.
const pinPrefix = "sha256:"

// A Pin names the key of a TLS server: the SHA-256 of its certificate's
// SubjectPublicKeyInfo. Whoever is told to trust a pin asks no authority, and
// looks at neither name nor date. Its text is "sha256:" and base64. The zero
// value names no key.
type Pin struct{ s string }

// PinOf returns the pin of a certificate's key.
func PinOf(c *x509.Certificate) Pin {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return Pin{pinPrefix + base64.StdEncoding.EncodeToString(sum[:])}
}

// ParsePin parses the text of a pin. Errors wrap [ErrInvalidPin].
func ParsePin(s string) (Pin, error) {
	encoded, ok := strings.CutPrefix(s, pinPrefix)
	b, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(b) != sha256.Size || strings.ContainsAny(encoded, "\r\n") {
		return Pin{}, fmt.Errorf("%w %q: must be \"sha256:\" and 44 characters of base64", ErrInvalidPin, s)
	}
	return Pin{s}, nil
}

// String returns p's text; empty for the zero value.
func (p Pin) String() string { return p.s }

// IsZero reports whether p names no key.
func (p Pin) IsZero() bool { return p.s == "" }

// MarshalText implements encoding.TextMarshaler.
func (p Pin) MarshalText() ([]byte, error) { return []byte(p.s), nil }

// UnmarshalText parses like [ParsePin].
func (p *Pin) UnmarshalText(text []byte) error {
	parsed, err := ParsePin(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}
