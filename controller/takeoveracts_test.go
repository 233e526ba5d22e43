package controller

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// credentialsNow says which keys of web1, and which operators, there are, and which count.
func credentialsNow(t *testing.T, _ *takeoverWorld, c *crew) string {
	t.Helper()
	said := []string{}
	if k, known := c.book.Newest(host(t, "web1")); known {
		said = append(said, fmt.Sprintf("web1 by %q, revoked %t", k.By, k.IsRevoked()))
	}
	said = append(said, fmt.Sprintf("%d keys revoked", len(c.book.Revoked(time.Time{}))))
	counts := 0
	for _, op := range c.operators.List() {
		if op.Revoked.IsZero() {
			counts++
		}
	}
	return strings.Join(append(said, fmt.Sprintf("%d operators", counts)), ", ")
}

// identityActs are those on who may connect.
func identityActs(t *testing.T) []takeoverAct {
	t.Helper()
	key, token := userKey(t), proto.NewToken(host(t, "web1"))
	operatorKey, operatorToken := userKey(t), proto.NewOperatorToken()
	add := func(t *testing.T, _ *takeoverWorld, c *crew) error {
		t.Helper()
		_, err := c.add(t.Context(), ada(), proto.HostAddRequest{Host: host(t, "web1"), PublicKey: key})
		return err
	}
	offer := func(t *testing.T, _ *takeoverWorld, c *crew) error {
		t.Helper()
		_, err := c.token(t.Context(), ada(), proto.HostTokenRequest{Host: host(t, "web1"), Hash: token.Hash(), For: time.Hour})
		return err
	}
	operator := func(t *testing.T, _ *takeoverWorld, c *crew) error {
		t.Helper()
		_, err := c.addOperator(t.Context(), ada(), proto.OperatorAddRequest{Name: "bob", Role: proto.RoleViewer, PublicKey: operatorKey})
		return err
	}
	bearer := func(t *testing.T, _ *takeoverWorld, c *crew) error {
		t.Helper()
		_, err := c.addToken(t.Context(), ada(), proto.OperatorTokenRequest{Name: "bob", Role: proto.RoleViewer, Hash: operatorToken.Hash()})
		return err
	}
	return []takeoverAct{
		{name: "a host is added", do: add, is: credentialsNow, before: "0 keys revoked, 0 operators", after: `web1 by "ada", revoked false, 0 keys revoked, 0 operators`},
		{
			name: "a host enrols with a token, which counts once", prepare: offer, is: credentialsNow,
			do: func(t *testing.T, _ *takeoverWorld, c *crew) error {
				t.Helper()
				_, err := c.Redeem(t.Context(), token, proto.EnrollRequest{Host: host(t, "web1"), PublicKey: key}, "192.0.2.1")
				return err
			},
			before: "0 keys revoked, 0 operators", after: `web1 by "ada", revoked false, 0 keys revoked, 0 operators`,
		},
		{
			name: "a host is revoked", prepare: add, is: credentialsNow,
			do: func(t *testing.T, _ *takeoverWorld, c *crew) error {
				t.Helper()
				_, err := c.revoke(t.Context(), ada(), proto.HostRevokeRequest{Host: host(t, "web1")})
				if said, ok := errors.AsType[*bus.APIError](err); ok && said.Code == bus.CodeRefused {
					return nil // it is already
				}
				return err
			},
			before: `web1 by "ada", revoked false, 0 keys revoked, 0 operators`, after: `web1 by "ada", revoked true, 1 keys revoked, 0 operators`,
		},
		{name: "an operator is added", do: operator, is: credentialsNow, before: "0 keys revoked, 0 operators", after: "0 keys revoked, 1 operators"},
		{name: "a token of an operator is made", do: bearer, is: credentialsNow, before: "0 keys revoked, 0 operators", after: "0 keys revoked, 1 operators"},
		{
			name: "an operator is revoked", prepare: operator, is: credentialsNow,
			do: func(t *testing.T, _ *takeoverWorld, c *crew) error {
				t.Helper()
				_, err := c.revokeOperator(t.Context(), ada(), proto.OperatorRevokeRequest{Name: "bob"})
				if said, ok := errors.AsType[*bus.APIError](err); ok && said.Code == bus.CodeNotFound {
					return nil // he is already
				}
				return err
			},
			before: "0 keys revoked, 1 operators", after: "0 keys revoked, 0 operators",
		},
	}
}

// statementActs are those on what is said to hosts, other than by rollouts.
func statementActs() []takeoverAct {
	publishedA := func(t *testing.T, _ *takeoverWorld, c *crew) error {
		t.Helper()
		_, err := c.importer.publish(t.Context(), "ada", []proto.PublishTarget{{Host: host(t, "web1"), Toplevel: storePath(t, "a"), Mode: proto.ModeSwitch}})
		return err
	}
	told := func(t *testing.T, w *takeoverWorld, _ *crew) string {
		t.Helper()
		all := w.told.all[host(t, "web1")]
		if len(all) == 0 {
			return "nothing"
		}
		last := all[len(all)-1]
		return fmt.Sprintf("%s=%s of %s", last.Serial, last.Toplevel.Base()[33:], last.Published.Format(time.TimeOnly))
	}
	return []takeoverAct{
		{
			name: "a release that others signed is published", is: told,
			do: func(t *testing.T, w *takeoverWorld, c *crew) error {
				t.Helper()
				top := storePath(t, "a")
				closure := proto.Closure{{Path: top, NarHash: "sha256:0", NarSize: 1}}
				e, err := proto.Release{Host: host(t, "web1"), Serial: 7, Toplevel: top, Closure: closure.Digest()}.Sign(w.ci)
				if err != nil {
					return err
				}
				if v, _ := c.fleet.Host(host(t, "web1")); v.Host.Want.Toplevel == top {
					return nil // whoever publishes sees that it is so
				}
				_, err = c.importer.publish(t.Context(), "ada", []proto.PublishTarget{{Release: &e, Mode: proto.ModeSwitch}})
				return err
			},
			before: "nothing", after: "1=a of 12:00:00",
		},
		{
			name: "what a spare key assigned is published", is: told, prepare: publishedA,
			do: func(t *testing.T, w *takeoverWorld, c *crew) error {
				t.Helper()
				top := storePath(t, "b")
				closure := proto.Closure{{Path: top, NarHash: "sha256:0", NarSize: 1}}
				e, err := proto.Release{Host: host(t, "web1"), Serial: 7, Toplevel: top, Closure: closure.Digest()}.Sign(w.ci)
				if err != nil {
					return err
				}
				a, err := proto.Assignment{
					Host: host(t, "web1"), Serial: 20, Issued: w.clock, Expires: w.clock.Add(time.Hour), Release: proto.DigestOf(e.Payload),
				}.Sign(w.spare)
				if err != nil {
					return err
				}
				_, err = c.importer.publish(t.Context(), "ada", []proto.PublishTarget{{Release: &e, Assignment: &a}})
				return err
			},
			before: "1=a of 12:00:00", after: "20=b of 12:00:00",
		},
		{
			name: "assignments are renewed", is: told, prepare: publishedA,
			do: func(t *testing.T, w *takeoverWorld, c *crew) error {
				t.Helper()
				w.clock = time.Date(2026, 11, 26, 19, 0, 0, 0, time.UTC)
				return errors.Join(c.publisher.Renew(t.Context()), c.publisher.Sync(t.Context()))
			},
			before: "1=a of 12:00:00", after: "1=a of 19:00:00",
		},
		{
			name: "a release is withdrawn", prepare: publishedA,
			do: func(t *testing.T, w *takeoverWorld, c *crew) error {
				t.Helper()
				v, _ := c.fleet.Host(host(t, "web1"))
				list, err := proto.Withdrawals{Serial: 3, Issued: w.clock, Releases: []proto.Digest{v.Host.Want.Release}}.Sign(w.ci)
				if err != nil {
					return err
				}
				_, err = c.keys.withdraw(t.Context(), ada(), proto.WithdrawRequest{List: list})
				return err
			},
			is: func(t *testing.T, _ *takeoverWorld, c *crew) string {
				t.Helper()
				list := c.publisher.Withdrawals()
				if list == nil {
					return "nothing"
				}
				what, err := proto.ReadWithdrawals(*list)
				return fmt.Sprintf("list %s of %d, %v", what.Serial, len(what.Releases), err)
			},
			before: "nothing", after: "list 3 of 1, <nil>",
		},
	}
}
