package proto

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// EnrollPath is where a host asks over HTTP for credentials: GET returns an
// [EnrollChallenge], POST takes an [EnrollRequest].
const EnrollPath = "/enroll"

// EnrollOtherKey is the status of HTTP by which a token is not taken for a key that is
// revoked, or another host's. The token is good for another key.
const EnrollOtherKey = 410 // Gone

// MaxEnroll limits what is said there, in bytes.
const MaxEnroll = 16 << 10

// ErrInvalidToken is wrapped by every error of [ParseToken].
var ErrInvalidToken = errors.New("not an enrolment token")

// A Token lets one host enrol, once. It is a secret: String and the other ways to
// print one do not show it.
type Token struct {
	host   HostName
	secret string
}

const (
	tokenSecret   = 26 // characters of base32: 130 bits
	tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

// NewToken makes a token for host.
func NewToken(host HostName) Token { return Token{host: host, secret: rand.Text()} }

// ParseToken parses what [Token.Reveal] returned. The error does not hold s.
func ParseToken(s string) (Token, error) {
	name, secret, _ := strings.Cut(strings.TrimSpace(s), ".")
	host, err := ParseHostName(name)
	if err != nil || len(secret) != tokenSecret || strings.Trim(secret, tokenAlphabet) != "" {
		return Token{}, fmt.Errorf("%w: it must be a host's name, a dot and %d characters", ErrInvalidToken, tokenSecret)
	}
	return Token{host: host, secret: secret}, nil
}

// Host returns the host that t is for.
func (t Token) Host() HostName { return t.host }

// IsZero reports whether t is none.
func (t Token) IsZero() bool { return t.secret == "" }

// Hash returns what is known of t by who has to tell it from others.
func (t Token) Hash() string {
	sum := sha256.Sum256([]byte("kedge enrolment token\n" + t.Reveal()))
	return hex.EncodeToString(sum[:])
}

// Reveal returns the secret text of t.
func (t Token) Reveal() string { return t.host.String() + "." + t.secret }

// String returns whose token t is.
func (t Token) String() string { return "token of " + t.host.String() }

// GoString does as String does.
func (t Token) GoString() string { return t.String() }

// An EnrollChallenge is what the host has to sign, soon.
type EnrollChallenge struct {
	Format int    `json:"format"`
	Nonce  string `json:"nonce"`
}

// An EnrollRequest asks for credentials: with a token for a new key, or without one
// for a key that has credentials, which may have expired.
type EnrollRequest struct {
	Format    int      `json:"format"`
	Nonce     string   `json:"nonce"`
	Host      HostName `json:"host"`
	PublicKey string   `json:"public_key"` // a NATS user NKey, "U…"
	Token     string   `json:"token,omitempty"`
	Instance  string   `json:"instance,omitempty"` // as in a RenewRequest
	// Signature is by the key, over [EnrollRequest.Statement].
	Signature []byte `json:"signature"`
}

// Statement returns what a host signs to prove that it has the key. Only r's other
// fields count.
func (r EnrollRequest) Statement() []byte {
	sum := sha256.Sum256([]byte(r.Token))
	return []byte(strings.Join([]string{
		"kedge-enroll-v1", r.Nonce, r.Host.String(), r.PublicKey, hex.EncodeToString(sum[:]), r.Instance,
	}, "\n"))
}

// Encode returns r as JSON.
func (r EnrollRequest) Encode() ([]byte, error) {
	r.Format = Format1
	return encode("enrolment request", r)
}

// ParseEnrollRequest parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed], and hold no token.
func ParseEnrollRequest(b []byte) (EnrollRequest, error) {
	var r EnrollRequest
	if err := decode("enrolment request", b, MaxEnroll, &r); err != nil {
		return EnrollRequest{}, err
	}
	switch {
	case r.Host.IsZero() || r.PublicKey == "" || r.Nonce == "" || len(r.Signature) == 0:
		return EnrollRequest{}, fmt.Errorf("enrolment request: %w: host, public_key, nonce and signature are required", ErrMalformed)
	case len(r.Instance) > maxInstance:
		return EnrollRequest{}, fmt.Errorf("enrolment request: %w: instance has %d bytes, at most %d are read", ErrMalformed, len(r.Instance), maxInstance)
	case strings.ContainsAny(r.Nonce+r.PublicKey+r.Instance, "\n"):
		return EnrollRequest{}, fmt.Errorf("enrolment request: %w: more than one line", ErrMalformed)
	}
	return r, nil
}

// An EnrollReply holds credentials and, for a new key, what a host needs besides.
type EnrollReply struct {
	Format  int       `json:"format"`
	Expires time.Time `json:"expires,omitzero"` // of the credentials; zero is never
	HostAddReply
}

// Encode returns r as JSON.
func (r EnrollReply) Encode() ([]byte, error) {
	r.Format = Format1
	return encode("enrolment reply", r)
}

// ParseEnrollReply parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseEnrollReply(b []byte) (EnrollReply, error) {
	var r EnrollReply
	if err := decode("enrolment reply", b, MaxEnroll, &r); err != nil {
		return EnrollReply{}, err
	}
	return r, nil
}

// Encode returns c as JSON.
func (c EnrollChallenge) Encode() ([]byte, error) {
	c.Format = Format1
	return encode("enrolment challenge", c)
}

// ParseEnrollChallenge parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseEnrollChallenge(b []byte) (EnrollChallenge, error) {
	var c EnrollChallenge
	if err := decode("enrolment challenge", b, MaxEnroll, &c); err != nil {
		return EnrollChallenge{}, err
	}
	if c.Nonce == "" {
		return EnrollChallenge{}, fmt.Errorf("enrolment challenge: %w: nonce is required", ErrMalformed)
	}
	return c, nil
}
