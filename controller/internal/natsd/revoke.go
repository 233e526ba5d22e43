package natsd

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
)

// Revoked are the public keys of users whose credentials do not count any more,
// whenever they were issued.
type Revoked struct {
	Hosts     []string
	Operators []string
}

// forever is later than any credentials are issued: a clock that was set back does
// not let anybody in again.
func forever() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// revoke makes c refuse the users with these keys.
func revoke(c *jwt.AccountClaims, keys []string) {
	for _, k := range keys {
		c.RevokeAt(k, forever())
	}
}

// Revoke makes the server refuse those in r, and only those. Whoever of them is
// connected is disconnected at once.
func (s *Server) Revoke(_ context.Context, r Revoked) error {
	accounts, err := s.accounts(r)
	if err != nil {
		return fmt.Errorf("revoke credentials: %w", err)
	}
	if err := s.store(accounts); err != nil {
		return fmt.Errorf("revoke credentials: %w", err)
	}
	for _, a := range accounts {
		if a.claims.Name != accountHosts && a.claims.Name != accountOperators {
			continue
		}
		live, err := s.server.LookupAccount(a.claims.Subject)
		if err != nil {
			return fmt.Errorf("revoke credentials: account %s: %w", a.claims.Name, err)
		}
		s.server.UpdateAccountClaims(live, a.claims)
	}
	return nil
}
