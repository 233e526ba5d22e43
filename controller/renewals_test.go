package controller

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"kedge/controller/internal/enroll"
	"kedge/controller/internal/natsd"
	"kedge/proto"
	"kedge/proto/bus"
)

// An office is identities with a clock of their own, and without a server.
type office struct {
	*identities
	clock  time.Time
	audits []proto.AuditEntry
	told   natsd.Revoked
	deaf   error // what NATS says to it
	issued int
	woken  int
}

// newOffice opens the book in dir.
func newOffice(t *testing.T, dir string) *office {
	t.Helper()
	book, err := enroll.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	operators, err := enroll.OpenOperators(filepath.Join(dir, "operators"))
	if err != nil {
		t.Fatal(err)
	}
	o := &office{clock: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time { return o.clock }
	o.identities = &identities{
		anchors: func() proto.HostAddReply { return proto.HostAddReply{} },
		access:  func() proto.Access { return proto.Access{} },
		book:    book, operators: operators, authority: o, fleet: NewFleet(now), lifetime: 30 * 24 * time.Hour, wake: func() { o.woken++ }, now: now, log: slog.New(slog.DiscardHandler),
		audit: func(_ context.Context, e proto.AuditEntry) { o.audits = append(o.audits, e) },
		free:  func(context.Context, proto.HostName, string) error { return nil },
	}
	o.know()
	return o
}

// HostJWT implements [Authority]: what it returns says whose it is.
func (o *office) HostJWT(h proto.HostName, key string, expires time.Time) (string, error) {
	o.issued++
	return h.String() + " " + key + " " + expires.Format(time.RFC3339), nil
}

// Config implements [Authority].
func (o *office) Config(natsd.Revoked, bool) (string, error) { return "", nil }

// OperatorJWT implements [Authority].
func (o *office) OperatorJWT(role proto.Role, name, key string, expires time.Time) (string, error) {
	return string(role) + " " + name + " " + key + " " + expires.Format(time.RFC3339), nil
}

func (o *office) Revoke(_ context.Context, r natsd.Revoked) error {
	if o.deaf == nil {
		o.told = r
	}
	return o.deaf
}

func userKey(t *testing.T) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestRenewals(t *testing.T) {
	dir := t.TempDir()
	o, web1, key := newOffice(t, dir), host(t, "web1"), userKey(t)
	if _, err := o.add(t.Context(), bus.Caller{Name: "ada"}, proto.HostAddRequest{Host: web1, PublicKey: key}); err != nil {
		t.Fatal(err)
	}
	first := o.clock.Add(o.lifetime)
	renew := func(has time.Time) proto.RenewReply {
		t.Helper()
		r, err := o.renew(t.Context(), web1, proto.RenewRequest{PublicKey: key, Expires: has})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := renew(first); r != (proto.RenewReply{}) || o.issued != 1 {
		t.Errorf("at once: %+v", r)
	}
	o.clock = o.clock.Add(15*24*time.Hour + time.Second)
	second := o.clock.Add(o.lifetime)
	r := renew(first)
	if !r.Expires.Equal(second) || r.JWT != "web1 "+key+" "+second.Format(time.RFC3339) {
		t.Errorf("after half of the time: %+v", r)
	}
	o.clock = o.clock.Add(time.Minute)
	if again := renew(first); again != r {
		t.Errorf("again, because the answer was lost: %+v, want %+v", again, r)
	}
	if r := renew(second); r.JWT != "" {
		t.Errorf("with the renewed ones: %+v", r)
	}

	o = newOffice(t, dir) // as after a restart
	if v, _ := o.fleet.Host(web1); v.Host.Key == nil || !v.Host.Key.Expires.Equal(second) {
		t.Errorf("after a restart the key is %+v", v.Host.Key)
	}
	o.clock = second.Add(time.Hour)
	if r := renew(second); !r.Expires.Equal(o.clock.Add(o.lifetime)) {
		t.Errorf("after they expired: %+v", r)
	}
}

func TestRenewalsAreRefusedToWhoDoesNotCount(t *testing.T) {
	o, web1, web2 := newOffice(t, t.TempDir()), host(t, "web1"), host(t, "web2")
	first, second := userKey(t), userKey(t)
	for _, key := range []string{first, second} {
		if _, err := o.add(t.Context(), bus.Caller{Name: "ada"}, proto.HostAddRequest{Host: web1, PublicKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	o.clock = o.clock.Add(20 * 24 * time.Hour)
	for what, c := range map[string]struct {
		host proto.HostName
		key  string
	}{
		"a host that is not known":  {web2, userKey(t)},
		"another host's key":        {web2, second},
		"a key that was replaced":   {web1, first},
		"a key that is not known":   {web1, userKey(t)},
		"something that is no key":  {web1, "x"},
		"the key of no host at all": {host(t, "web3"), first},
	} {
		_, err := o.renew(t.Context(), c.host, proto.RenewRequest{PublicKey: c.key, Expires: o.clock})
		if said, ok := errors.AsType[*bus.APIError](err); !ok || said.Code != bus.CodeRefused {
			t.Errorf("%s: error = %v, want a refusal", what, err)
		}
	}
	if _, err := o.revoke(t.Context(), bus.Caller{Name: "ada"}, proto.HostRevokeRequest{Host: web1}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.renew(t.Context(), web1, proto.RenewRequest{PublicKey: second, Expires: o.clock}); err == nil {
		t.Error("a revoked key is renewed")
	}
}

// TestWhoIsRevokedAgainIsToldToNATSAgain revokes while NATS does not listen, and once more
// when it does.
func TestWhoIsRevokedAgainIsToldToNATSAgain(t *testing.T) {
	o := newOffice(t, t.TempDir())
	ada, web1, key, eva := bus.Caller{Name: "ada"}, host(t, "web1"), userKey(t), userKey(t)
	if _, err := o.add(t.Context(), ada, proto.HostAddRequest{Host: web1, PublicKey: key}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.addOperator(t.Context(), ada, proto.OperatorAddRequest{Name: "eva", Role: proto.RoleViewer, PublicKey: eva}); err != nil {
		t.Fatal(err)
	}
	freed := 0
	o.free = func(context.Context, proto.HostName, string) error {
		freed++
		return nil
	}
	revoke := func(by string) (proto.HostKey, []proto.Operator, error) {
		h, err := o.revoke(t.Context(), bus.Caller{Name: by}, proto.HostRevokeRequest{Host: web1})
		r, again := o.revokeOperator(t.Context(), bus.Caller{Name: by}, proto.OperatorRevokeRequest{Name: "eva"})
		return h.Key, append(r.Others, r.Operator), errors.Join(err, again)
	}
	o.deaf = natsd.ErrPending
	_, _, err := revoke("ada")
	for _, want := range []string{"host web1 is revoked, and NATS does not know yet", "operator eva is revoked, and NATS does not know yet"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q in it", err, want)
		}
	}
	if freed != 1 {
		t.Errorf("its lease was taken back %d times, want once: that has nothing to do with who listens", freed)
	}
	o.deaf = nil
	acts := len(o.audits)
	host, operators, err := revoke("bob")
	if err != nil || host.PublicKey != key || host.RevokedBy != "ada" || len(operators) != 1 || operators[0].PublicKey != eva || operators[0].RevokedBy != "ada" {
		t.Errorf("again: %+v, %+v, error %v; want them as ada revoked them", host, operators, err)
	}
	if want := (natsd.Revoked{Hosts: []string{key}, Operators: []string{eva}}); !cmp.Equal(want, o.told) {
		t.Errorf("NATS was told %+v, want %+v", o.told, want)
	}
	if len(o.audits) != acts {
		t.Errorf("what was so already is in the audit: %+v", o.audits[acts:])
	}
}

// TestWhoIsAddedAgainHasWhatWasMade asks for the same once more, as who did not hear the
// answer does.
func TestWhoIsAddedAgainHasWhatWasMade(t *testing.T) {
	o := newOffice(t, t.TempDir())
	eva, mallory, hash := userKey(t), userKey(t), proto.NewOperatorToken().Hash()
	add := func(name string, role proto.Role, key string) (proto.OperatorAddReply, error) {
		return o.addOperator(t.Context(), ada(), proto.OperatorAddRequest{Name: name, Role: role, PublicKey: key, For: time.Hour})
	}
	token := func(name string, role proto.Role) (proto.OperatorTokenReply, error) {
		return o.addToken(t.Context(), ada(), proto.OperatorTokenRequest{Name: name, Role: role, Hash: hash, For: time.Hour})
	}
	key, err := add("eva", proto.RoleViewer, eva)
	if err != nil {
		t.Fatal(err)
	}
	bearer, err := token("eva", proto.RoleViewer)
	if err != nil {
		t.Fatal(err)
	}
	acts := len(o.audits)
	o.clock = o.clock.Add(time.Minute)
	if again, err := add("eva", proto.RoleViewer, eva); err != nil || again.JWT != key.JWT || again.Operator != key.Operator {
		t.Errorf("the key again: %+v, %v; want %+v", again, err, key)
	}
	if again, err := token("eva", proto.RoleViewer); err != nil || again.Operator != bearer.Operator {
		t.Errorf("the token again: %+v, %v; want %+v", again, err, bearer)
	}
	if len(o.operators.List()) != 2 || len(o.audits) != acts {
		t.Errorf("there are %+v, and in the audit is %+v", o.operators.List(), o.audits[acts:])
	}

	refuses := func(what, because string, err error) {
		t.Helper()
		if said, ok := errors.AsType[*bus.APIError](err); !ok || said.Code != bus.CodeRefused || !strings.Contains(said.Message, because) {
			t.Errorf("%s: error = %v, want a refusal: %s", what, err, because)
		}
	}
	_, err = add("eve", proto.RoleViewer, eva)
	refuses("the key for somebody else", "is somebody else's", err)
	_, err = add("eva", proto.RoleAdmin, eva)
	refuses("the key for more", "has another role", err)
	_, err = token("eve", proto.RoleViewer)
	refuses("the token for somebody else", "is somebody else's", err)
	_, err = token("eva", proto.RoleAdmin)
	refuses("the token for more", "has another role", err)
	o.clock = key.Operator.Expires
	_, err = add("eva", proto.RoleViewer, eva)
	refuses("the key when it has expired", "has expired", err)
	if _, err := add("eva", proto.RoleViewer, mallory); err != nil {
		t.Fatal(err)
	}
	_, err = add("eva", proto.RoleViewer, eva)
	refuses("the key that another one replaced", "is revoked", err)
}

// TestWhoTakesAnotherKeyIsOutWithTheOneBefore: NATS is told, and whoever runs it need not
// have told it for the answer to come.
func TestWhoTakesAnotherKeyIsOutWithTheOneBefore(t *testing.T) {
	o := newOffice(t, t.TempDir())
	first, second := userKey(t), userKey(t)
	for _, key := range []string{first, second} {
		if _, err := o.addOperator(t.Context(), bus.Caller{Name: "ada", PublicKey: first}, proto.OperatorAddRequest{Name: "ada", Role: proto.RoleAdmin, PublicKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	if want := (natsd.Revoked{Operators: []string{first}}); !cmp.Equal(want, o.told) {
		t.Errorf("NATS was told %+v, want %+v", o.told, want)
	}
	o.deaf = natsd.ErrPending
	if _, err := o.addOperator(t.Context(), bus.Caller{Name: "ada", PublicKey: second}, proto.OperatorAddRequest{Name: "ada", Role: proto.RoleAdmin, PublicKey: userKey(t)}); err != nil {
		t.Error(err)
	}
}

// TestATokenIsRevokedAgainWhereNATSIsOthers: it has no part in tokens.
func TestATokenIsRevokedAgainWhereNATSIsOthers(t *testing.T) {
	o := newOffice(t, t.TempDir())
	o.authority = foreignNATS{}
	if _, err := o.addToken(t.Context(), ada(), proto.OperatorTokenRequest{Name: "grafana", Role: proto.RoleViewer, Hash: proto.NewOperatorToken().Hash()}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r, err := o.revokeOperator(t.Context(), ada(), proto.OperatorRevokeRequest{Name: "grafana"}); err != nil || r.Operator.Name != "grafana" {
			t.Errorf("revoked: %+v, %v", r, err)
		}
	}
}
