package proto

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrInvalidDigest is wrapped by every error of [ParseDigest].
var ErrInvalidDigest = errors.New("invalid digest")

const digestPrefix = "sha256:"

// A Digest is the SHA-256 of some bytes, written "sha256:<hexadecimal>". The
// zero value is no digest.
type Digest struct{ s string }

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest{digestPrefix + hex.EncodeToString(sum[:])}
}

// ParseDigest parses "sha256:<64 lower-case hexadecimal digits>".
func ParseDigest(s string) (Digest, error) {
	h, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(h) != 2*sha256.Size || strings.ToLower(h) != h {
		return Digest{}, fmt.Errorf("%w: %q must be sha256: and 64 lower-case hexadecimal digits", ErrInvalidDigest, s)
	}
	if _, err := hex.DecodeString(h); err != nil {
		return Digest{}, fmt.Errorf("%w: %q: %w", ErrInvalidDigest, s, err)
	}
	return Digest{s}, nil
}

// String returns "sha256:<hexadecimal>", or "" for the zero value.
func (d Digest) String() string { return d.s }

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d.s == "" }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.s), nil }

// UnmarshalText parses b; see [ParseDigest]. Empty text is the zero value.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}
