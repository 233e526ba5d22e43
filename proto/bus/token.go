package bus

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
)

// A Token is what a user JWT says. It is not verified here: the server does that.
type Token struct {
	JWT       string
	PublicKey string    // of the user, "U…"
	Name      string    // that the credentials were issued for
	Issued    time.Time // in whole seconds, as Expires
	Expires   time.Time // zero is never
}

// errNoToken is wrapped by every error of [ParseToken].
var errNoToken = errors.New("not the JWT of a NATS user")

// ParseToken reads a user JWT. It is not a secret: without the key it is of no use.
func ParseToken(jwt string) (Token, error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return Token{}, fmt.Errorf("%w: it has %d parts", errNoToken, len(parts))
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", errNoToken, err)
	}
	var claims struct {
		Subject string `json:"sub"`
		Name    string `json:"name"`
		Issued  int64  `json:"iat"`
		Expires int64  `json:"exp"`
	}
	if err := json.Unmarshal(body, &claims); err != nil {
		return Token{}, fmt.Errorf("%w: %w", errNoToken, err)
	}
	if !nkeys.IsValidPublicUserKey(claims.Subject) {
		return Token{}, fmt.Errorf("%w: its subject is %q", errNoToken, claims.Subject)
	}
	t := Token{JWT: jwt, PublicKey: claims.Subject, Name: claims.Name, Issued: time.Unix(claims.Issued, 0).UTC()}
	if claims.Expires != 0 {
		t.Expires = time.Unix(claims.Expires, 0).UTC()
	}
	return t, nil
}

// outlasts reports whether t is valid for longer than o.
func (t Token) outlasts(o Token) bool {
	return !o.Expires.IsZero() && (t.Expires.IsZero() || t.Expires.After(o.Expires))
}

// ReadToken returns the JWT that a connection with these credentials uses now: that in
// the .creds file, or the one in the file renewed if it is of the same user and valid
// for longer. Without a readable one there, there is none.
func ReadToken(credentialsFile, renewed string) (Token, error) {
	jwt, pair, err := readCreds(credentialsFile)
	if err != nil {
		return Token{}, err
	}
	pair.Wipe()
	t, err := ParseToken(jwt)
	if err != nil {
		return Token{}, fmt.Errorf("credentials %s: %w", credentialsFile, err)
	}
	if newer, ok := readRenewed(renewed, t); ok {
		return newer, nil
	}
	return t, nil
}

// readRenewed returns the JWT in the file renewed, if it is to be used instead of t.
func readRenewed(renewed string, t Token) (Token, bool) {
	if renewed == "" {
		return Token{}, false
	}
	b, err := os.ReadFile(renewed)
	if err != nil {
		return Token{}, false // nothing was renewed yet
	}
	newer, err := ParseToken(strings.TrimSpace(string(b)))
	return newer, err == nil && newer.PublicKey == t.PublicKey && newer.outlasts(t)
}

// credentials reads what a connection is made with.
func (o Options) credentials() (credentials, error) {
	c, err := readCredentials(o.Credentials)
	if err != nil || o.Renewed == "" {
		return c, err
	}
	if t, err := ParseToken(c.jwt); err == nil {
		if newer, ok := readRenewed(o.Renewed, t); ok {
			c.jwt = newer.JWT
		}
	}
	return c, nil
}
