// Package pass makes the tokens with which hosts read the cache, and checks them.
// A token says which host it is for and until when, and carries a code that only
// the controller's key makes: nothing has to be kept for it.
package pass

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"kedge/internal/durable"
	"kedge/proto"
)

const (
	keySize             = 32
	keyPerm fs.FileMode = 0o600
	// Lifetime of a token. A fetch that begins in the last moment of an assignment
	// may take a while.
	Lifetime = proto.AssignmentLifetime + 2*time.Hour
	// domain is what else the key may never make codes for.
	domain = "kedge cache token 1"
)

// ErrInvalid says that a token is none of ours, or not valid any more.
var ErrInvalid = errors.New("invalid token")

// An Office makes and checks tokens. Safe for concurrent use.
type Office struct{ key []byte }

// Open opens the office whose key is in a file, which is made if there is none.
// Without it all tokens are invalid; hosts get new ones with their assignments.
func Open(file string) (*Office, error) {
	key, err := read(file)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, keySize)
		_, _ = rand.Read(key) // documented never to fail
		err = durable.WriteFile(file, key, keyPerm)
	}
	if err != nil {
		return nil, fmt.Errorf("key of cache tokens: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("key of cache tokens: %s has %d bytes, want %d; remove it, and hosts get new tokens", file, len(key), keySize)
	}
	return &Office{key: key}, nil
}

// read reads a key that nobody else may read.
func read(file string) ([]byte, error) {
	stat, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if perm := stat.Mode().Perm(); perm&^keyPerm != 0 {
		return nil, fmt.Errorf("%s may be read by others (%o): remove it, and hosts get new tokens", file, perm)
	}
	return os.ReadFile(file)
}

// Issue returns a token for host, valid from now for [Lifetime].
func (o *Office) Issue(host proto.HostName, now time.Time) proto.CacheToken {
	claim := host.String() + "." + strconv.FormatInt(now.Add(Lifetime).Unix(), 10)
	token, err := proto.ParseCacheToken(claim + "." + o.code(claim))
	if err != nil {
		return proto.CacheToken{} // cannot be: a name has 63 characters at most
	}
	return token
}

// Check returns whom a token is for, and from which second on it was valid. The error
// wraps [ErrInvalid] and does not hold the token.
func (o *Office) Check(token string, now time.Time) (host proto.HostName, issued time.Time, err error) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 || !hmac.Equal([]byte(token[i+1:]), []byte(o.code(token[:i]))) {
		return host, issued, fmt.Errorf("%w: it is none of ours", ErrInvalid)
	}
	name, until, _ := strings.Cut(token[:i], ".")
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		return host, issued, fmt.Errorf("%w: it has no end", ErrInvalid)
	}
	end := time.Unix(seconds, 0).UTC()
	if !now.Before(end) {
		return host, issued, fmt.Errorf("%w: it was valid until %s", ErrInvalid, end.Format(time.RFC3339))
	}
	if host, err = proto.ParseHostName(name); err != nil {
		return host, issued, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return host, end.Add(-Lifetime), nil
}

func (o *Office) code(claim string) string {
	mac := hmac.New(sha256.New, o.key)
	_, _ = mac.Write([]byte(domain + "\x00" + claim)) // documented never to fail
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
