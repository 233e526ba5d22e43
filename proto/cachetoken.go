package proto

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ErrInvalidCacheToken says that a text is no token for a cache.
var ErrInvalidCacheToken = errors.New("invalid cache token")

// maxCacheToken is how long a token may be.
const maxCacheToken = 256

// A CacheToken lets a host read from the controller's cache what it is assigned:
// as a bearer token, or as the password of any user. It is secret, and valid a
// little longer than the assignment that it comes with. Only [CacheToken.Reveal]
// and its encoding tell it.
type CacheToken struct{ s string }

// ParseCacheToken parses a token. Errors wrap [ErrInvalidCacheToken], and do not
// hold it.
func ParseCacheToken(s string) (CacheToken, error) {
	if s == "" || len(s) > maxCacheToken || strings.ContainsFunc(s, noCacheToken) {
		return CacheToken{}, fmt.Errorf("%w of %d characters", ErrInvalidCacheToken, len(s))
	}
	return CacheToken{s}, nil
}

// noCacheToken reports whether r does not stand as well in a header as in a netrc
// file.
func noCacheToken(r rune) bool {
	letter := r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
	return !letter && !strings.ContainsRune("._-", r)
}

// IsZero reports whether t is no token.
func (t CacheToken) IsZero() bool { return t.s == "" }

// Reveal returns the secret itself, for the header of a request.
func (t CacheToken) Reveal() string { return t.s }

// String does not tell the secret.
func (t CacheToken) String() string { return "(secret)" }

// GoString does not tell the secret.
func (t CacheToken) GoString() string { return t.String() }

// LogValue does not tell the secret.
func (t CacheToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText implements encoding.TextMarshaler: tokens travel in assignments.
func (t CacheToken) MarshalText() ([]byte, error) { return []byte(t.s), nil }

// UnmarshalText parses like [ParseCacheToken].
func (t *CacheToken) UnmarshalText(text []byte) error {
	parsed, err := ParseCacheToken(string(text))
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}
