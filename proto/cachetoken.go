package proto

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
)

// ErrInvalidCacheToken says that a text is no token for a cache.
var ErrInvalidCacheToken = errors.New("invalid cache token")

// cacheToken is what stands as well in a header as in a netrc file.
var cacheToken = regexp.MustCompile(`^[A-Za-z0-9._-]{1,256}$`)

// A CacheToken lets a host read from the controller's cache what it is assigned:
// as a bearer token, or as the password of any user. It is secret, and valid a
// little longer than the assignment that it comes with. Only [CacheToken.Reveal]
// and its encoding tell it.
type CacheToken struct{ s string }

// ParseCacheToken parses a token. Errors wrap [ErrInvalidCacheToken], and do not
// hold it.
func ParseCacheToken(s string) (CacheToken, error) {
	if !cacheToken.MatchString(s) {
		return CacheToken{}, fmt.Errorf("%w of %d characters", ErrInvalidCacheToken, len(s))
	}
	return CacheToken{s}, nil
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
