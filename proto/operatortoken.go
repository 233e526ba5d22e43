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

// APIPath is where the API is served over HTTP: each call is at its name below it.
const APIPath = "/api/v1/"

// ErrInvalidOperatorToken is wrapped by every error of [ParseOperatorToken].
var ErrInvalidOperatorToken = errors.New("not an operator's token")

// An OperatorToken lets an operator call the API over HTTP, as its bearer. It is a
// secret: String and the other ways to print one do not show it.
type OperatorToken struct{ s string }

const (
	operatorTokenPrefix = "kedge_" // so that one that leaked is known for what it is
	operatorTokenSecret = 2 * tokenSecret
)

// NewOperatorToken makes a token, of 260 random bits.
func NewOperatorToken() OperatorToken {
	return OperatorToken{operatorTokenPrefix + rand.Text() + rand.Text()}
}

// ParseOperatorToken parses what [OperatorToken.Reveal] returned. The error does not
// hold s.
func ParseOperatorToken(s string) (OperatorToken, error) {
	secret, ok := strings.CutPrefix(s, operatorTokenPrefix)
	if !ok || len(secret) != operatorTokenSecret || strings.Trim(secret, tokenAlphabet) != "" {
		return OperatorToken{}, fmt.Errorf("%w: it must be %s and %d characters", ErrInvalidOperatorToken, operatorTokenPrefix, operatorTokenSecret)
	}
	return OperatorToken{s}, nil
}

// Hash returns what is known of t by who has to tell it from others.
func (t OperatorToken) Hash() string {
	sum := sha256.Sum256([]byte("kedge operator token\n" + t.s))
	return hex.EncodeToString(sum[:])
}

// Reveal returns the secret text of t.
func (t OperatorToken) Reveal() string { return t.s }

// String does not tell the secret.
func (t OperatorToken) String() string { return "(secret)" }

// GoString does as String does.
func (t OperatorToken) GoString() string { return t.String() }

// An OperatorTokenRequest lets whoever has a token call the API as an operator. The
// token itself stays with who made it. Another token of the same name does not count
// any more.
type OperatorTokenRequest struct {
	Name string        `json:"name"`
	Role Role          `json:"role"`
	Hash string        `json:"hash"`          // see [OperatorToken.Hash]
	For  time.Duration `json:"for,omitempty"` // nanoseconds; zero is for ever
}

// An OperatorTokenReply says what the token is good for, and where.
type OperatorTokenReply struct {
	Operator Operator `json:"operator"`
	URLs     []string `json:"urls"` // of the API over HTTP
	Pins     []Pin    `json:"pins,omitempty"`
}
