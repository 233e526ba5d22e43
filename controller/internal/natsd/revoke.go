package natsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"time"

	"github.com/nats-io/nkeys"

	"kedge/internal/durable"
)

// revocations are the users who were turned away, by public key. Credentials
// that were issued later than the time count again.
type revocations struct {
	Users map[string]time.Time `json:"users"`
}

func (k *Keys) revokedDocument() durable.Document[revocations] {
	return durable.Document[revocations]{Path: filepath.Join(k.dir, revokedFile), Format: revokedFormat, Perm: secretPerm}
}

// loadRevoked reads who was turned away.
func (k *Keys) loadRevoked() error {
	r, err := k.revokedDocument().Read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.revoked = r
	return nil
}

// revoke remembers, durably, that the user is turned away from now on.
func (k *Keys) revoke(userPublicKey string) error {
	if !nkeys.IsValidPublicUserKey(userPublicKey) {
		return fmt.Errorf("%q is not the public key of a NATS user", userPublicKey)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next := revocations{Users: maps.Clone(k.revoked.Users)}
	if next.Users == nil {
		next.Users = make(map[string]time.Time)
	}
	next.Users[userPublicKey] = time.Now()
	if err := k.revokedDocument().Write(next); err != nil {
		return err
	}
	k.revoked = next
	return nil
}

// Revoke turns the user with this public key away, host or operator, now and
// after every restart. It is disconnected at once.
func (s *Server) Revoke(ctx context.Context, userPublicKey string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if err := s.revoke(userPublicKey); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	accounts, err := s.resolve(s.resolver)
	if err != nil {
		return fmt.Errorf("revoke %s: %w", userPublicKey, err)
	}
	for _, a := range accounts {
		known, err := s.server.LookupAccount(a.claims.Subject)
		if err != nil {
			return fmt.Errorf("revoke %s: account %s: %w", userPublicKey, a.claims.Name, err)
		}
		s.server.UpdateAccountClaims(known, a.claims)
	}
	return nil
}
