package proto

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// ErrInvalidKey is wrapped by every error of [ParsePublicKey] and
// [ParseSecretKey]. The errors never hold the key.
var ErrInvalidKey = errors.New("invalid key")

// A PublicKey is an Ed25519 public key with a name, written as Nix writes its
// keys: "name:base64" (`nix key convert-secret-to-public`). The zero value is
// no key.
type PublicKey struct {
	name string
	key  [ed25519.PublicKeySize]byte
}

// ParsePublicKey parses "name:base64", with white space around it. It refuses
// the key of nothing but zeros, a likely placeholder: anybody can sign for it.
func ParsePublicKey(s string) (PublicKey, error) {
	name, raw, err := parseKey(s, ed25519.PublicKeySize)
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	k := PublicKey{name, [ed25519.PublicKeySize]byte(raw)}
	if k.key == (PublicKey{}).key {
		return PublicKey{}, fmt.Errorf("public key: %w %s: is all zeros", ErrInvalidKey, name)
	}
	return k, nil
}

// Name returns the part before the colon. It selects a key; it proves nothing.
func (k PublicKey) Name() string { return k.name }

// IsZero reports whether k is no key.
func (k PublicKey) IsZero() bool { return k.name == "" }

// String returns "name:base64", or "" for the zero value.
func (k PublicKey) String() string {
	if k.IsZero() {
		return ""
	}
	return k.name + ":" + base64.StdEncoding.EncodeToString(k.key[:])
}

// MarshalText implements encoding.TextMarshaler.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText parses b; see [ParsePublicKey].
func (k *PublicKey) UnmarshalText(b []byte) error {
	p, err := ParsePublicKey(string(b))
	if err != nil {
		return err
	}
	*k = p
	return nil
}

// verify is false for the zero value, for which anybody could sign.
func (k PublicKey) verify(msg, sig []byte) bool {
	return !k.IsZero() && ed25519.Verify(k.key[:], msg, sig)
}

// A SecretKey signs. It is written as Nix writes its secret keys,
// "name:base64" of 64 bytes (`nix key generate-secret`), so that one file can
// serve both. It prints as its name only. The zero value is no key and signs
// nothing.
type SecretKey struct {
	name string
	// key returns the key. It is behind a function because fmt prints what is
	// in the unexported fields of a struct without calling String, and of a
	// function only where it is.
	key func() ed25519.PrivateKey
}

func newSecretKey(name string, key ed25519.PrivateKey) SecretKey {
	return SecretKey{name, func() ed25519.PrivateKey { return key }}
}

// GenerateKey makes a new key called name, with randomness from rand.
func GenerateKey(name string, rand io.Reader) (SecretKey, error) {
	if err := checkKeyName(name); err != nil {
		return SecretKey{}, err
	}
	_, key, err := ed25519.GenerateKey(rand)
	if err != nil {
		return SecretKey{}, fmt.Errorf("generate key %s: %w", name, err)
	}
	return newSecretKey(name, key), nil
}

// ParseSecretKey parses "name:base64", with white space around it. It refuses
// a key whose public half does not belong to its secret half: signatures made
// with such a key give the secret away.
func ParseSecretKey(s string) (SecretKey, error) {
	name, raw, err := parseKey(s, ed25519.PrivateKeySize)
	if err != nil {
		return SecretKey{}, fmt.Errorf("secret key: %w", err)
	}
	if !ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize]).Equal(ed25519.PrivateKey(raw)) {
		return SecretKey{}, fmt.Errorf("secret key: %w %s: its halves do not belong together", ErrInvalidKey, name)
	}
	return newSecretKey(name, raw), nil
}

// IsZero reports whether k is no key.
func (k SecretKey) IsZero() bool { return k.key == nil }

// Public returns the public half, under the same name.
func (k SecretKey) Public() PublicKey {
	if k.IsZero() {
		return PublicKey{}
	}
	return PublicKey{k.name, [ed25519.PublicKeySize]byte(k.key()[ed25519.SeedSize:])}
}

// Reveal returns "name:base64", the secret itself, for its file.
func (k SecretKey) Reveal() string {
	if k.IsZero() {
		return ""
	}
	return k.name + ":" + base64.StdEncoding.EncodeToString(k.key())
}

// String returns the name only.
func (k SecretKey) String() string { return k.name + ":(secret)" }

// GoString returns the name only.
func (k SecretKey) GoString() string { return k.String() }

// LogValue returns the name only.
func (k SecretKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText fails: a secret key belongs into no message.
func (k SecretKey) MarshalText() ([]byte, error) {
	return nil, fmt.Errorf("secret key %s: must not be encoded", k.name)
}

func (k SecretKey) sign(msg []byte) []byte { return ed25519.Sign(k.key(), msg) }

func parseKey(s string, size int) (name string, raw []byte, err error) {
	name, enc, ok := strings.Cut(strings.TrimSpace(s), ":")
	if !ok {
		return "", nil, fmt.Errorf("%w: must be name:base64", ErrInvalidKey)
	}
	if err := checkKeyName(name); err != nil {
		return "", nil, err
	}
	raw, err = base64.StdEncoding.Strict().DecodeString(enc)
	if err != nil || strings.ContainsAny(enc, "\r\n") { // which the decoder skips
		return "", nil, fmt.Errorf("%w %s: not base64", ErrInvalidKey, name)
	}
	if len(raw) != size {
		return "", nil, fmt.Errorf("%w %s: has %d bytes, want %d", ErrInvalidKey, name, len(raw), size)
	}
	return name, raw, nil
}

// maxKeyName keeps names fit for a log line.
const maxKeyName = 128

func checkKeyName(name string) error {
	if name == "" || len(name) > maxKeyName {
		return fmt.Errorf("%w: its name must have 1 to %d characters", ErrInvalidKey, maxKeyName)
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == ':' || c > '~' {
			return fmt.Errorf("%w: its name %q has %q", ErrInvalidKey, name, c)
		}
	}
	return nil
}
