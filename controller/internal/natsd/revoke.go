package natsd

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

// text returns what is the same for the same keys alone.
func (r Revoked) text() string {
	return strings.Join(r.Hosts, " ") + "|" + strings.Join(r.Operators, " ")
}

// changed returns the names of the accounts of which others are refused than in o.
func (r Revoked) changed(o Revoked) []string {
	var names []string
	if !slices.Equal(r.Hosts, o.Hosts) {
		names = append(names, accountHosts)
	}
	if !slices.Equal(r.Operators, o.Operators) {
		names = append(names, accountOperators)
	}
	return names
}

// Revoke makes the server refuse those in r, and only those. Whoever of them is
// connected is disconnected at once. An account of which nobody else is refused than
// before stays as it is: while it changes, nobody answers a request of its users.
func (s *Server) Revoke(_ context.Context, r Revoked) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := r.changed(s.told)
	if len(changed) == 0 {
		return nil
	}
	accounts, err := s.accounts(r)
	if err != nil {
		return fmt.Errorf("revoke credentials: %w", err)
	}
	if err := s.store(accounts); err != nil {
		return fmt.Errorf("revoke credentials: %w", err)
	}
	for _, a := range accounts {
		if !slices.Contains(changed, a.claims.Name) {
			continue
		}
		live, err := s.server.LookupAccount(a.claims.Subject)
		if err != nil {
			return fmt.Errorf("revoke credentials: account %s: %w", a.claims.Name, err)
		}
		s.server.UpdateAccountClaims(live, a.claims)
	}
	s.told = r
	return nil
}
