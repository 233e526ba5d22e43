package controller

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kedge/controller/internal/enroll"
	"kedge/proto"
	"kedge/proto/bus"
)

// offer makes a token for a host.
func (o *office) offer(t *testing.T, name string, lifetime time.Duration) proto.Token {
	t.Helper()
	token := proto.NewToken(host(t, name))
	_, err := o.token(t.Context(), bus.Caller{Name: "ada"}, proto.HostTokenRequest{Host: token.Host(), Hash: token.Hash(), For: lifetime})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (o *office) redeem(t *testing.T, token proto.Token, key string) (proto.EnrollReply, error) {
	t.Helper()
	return o.Redeem(t.Context(), token, proto.EnrollRequest{Host: token.Host(), PublicKey: key, Token: token.Reveal()}, "192.0.2.7")
}

// mustBeForbidden fails the test unless err says that a token, or a key, does not count.
func mustBeForbidden(t *testing.T, what string, err error) {
	t.Helper()
	if r, ok := errors.AsType[*enroll.RefusalError](err); !ok || r.Status != http.StatusForbidden {
		t.Errorf("%s: error = %v, want a refusal", what, err)
	}
}

func TestATokenIsUsedOnce(t *testing.T) {
	dir := t.TempDir()
	o := newOffice(t, dir)
	token := o.offer(t, "web1", time.Hour)
	file, err := os.ReadFile(filepath.Join(dir, "web1.json"))
	if err != nil || strings.Contains(string(file), token.Reveal()[5:]) || !strings.Contains(string(file), token.Hash()) {
		t.Errorf("the book says %s, %v", file, err)
	}
	first := userKey(t)
	r, err := o.redeem(t, token, first)
	if err != nil || !strings.HasPrefix(r.JWT, "web1 "+first) {
		t.Fatalf("got %+v, %v", r, err)
	}
	if o.woken == 0 {
		t.Error("what the machine before was given is not replaced")
	}
	if again, err := o.redeem(t, token, first); err != nil || again.JWT != r.JWT {
		t.Errorf("again, because the answer was lost: %+v, %v", again, err)
	}
	_, err = o.redeem(t, token, userKey(t))
	mustBeForbidden(t, "a replay with another key", err)

	o = newOffice(t, dir) // as after a restart
	_, err = o.redeem(t, token, userKey(t))
	mustBeForbidden(t, "a replay after a restart", err)
	if k, _ := o.book.Newest(host(t, "web1")); k.PublicKey != first || k.By != "ada" || k.From != "192.0.2.7" || k.IsRevoked() {
		t.Errorf("key = %+v", k)
	}
}

// TestAskingAgainForATokenThatWasUsedIsRefused: it would count once more. One that was not
// used may be asked for again, such as when the answer was lost.
func TestAskingAgainForATokenThatWasUsedIsRefused(t *testing.T) {
	dir := t.TempDir()
	o := newOffice(t, dir)
	token := proto.NewToken(host(t, "web1"))
	ask := func() (proto.HostTokenReply, error) {
		return o.token(t.Context(), bus.Caller{Name: "ada"}, proto.HostTokenRequest{Host: token.Host(), Hash: token.Hash(), For: time.Hour})
	}
	first, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ask(); err != nil || !again.Expires.Equal(first.Expires) {
		t.Errorf("again, before it was used: %+v, %v; want %+v", again, err, first)
	}
	key := userKey(t)
	if _, err := o.redeem(t, token, key); err != nil {
		t.Fatal(err)
	}
	audited := len(o.audits)
	for _, when := range []string{"once it was used", "after a restart"} {
		_, err = ask()
		if said, ok := errors.AsType[*bus.APIError](err); !ok || said.Code != bus.CodeRefused || !strings.Contains(said.Message, "host web1: the token was used: make another one") {
			t.Errorf("again, %s: error = %v, want it refused, with what to do", when, err)
		}
		_, err = o.redeem(t, token, userKey(t))
		mustBeForbidden(t, "with another key, "+when, err)
		if _, err := o.redeem(t, token, key); err != nil {
			t.Errorf("with the key that it was used for, %s: %v", when, err)
		}
		if when == "once it was used" {
			if len(o.audits) != audited+1 || o.audits[audited].Act != proto.ActHostEnroll {
				t.Errorf("audit = %+v, want that it was used again alone", o.audits[audited:])
			}
			o = newOffice(t, dir)
		}
	}
	other := userKey(t)
	if _, err := o.redeem(t, o.offer(t, "web1", time.Hour), other); err != nil {
		t.Errorf("with another token: %v", err)
	}
}

// TestATokenIsNotSpentOnAKeyThatCannotCount: the holder of a token whose key was given
// away, or taken back, hears that, and enrols with another one.
func TestATokenIsNotSpentOnAKeyThatCannotCount(t *testing.T) {
	for name, spoil := range map[string]func(o *office, key string) error{
		"revoked": func(o *office, key string) error {
			if _, err := o.redeem(t, o.offer(t, "web1", time.Hour), key); err != nil {
				return err
			}
			_, err := o.revoke(t.Context(), bus.Caller{Name: "eva"}, proto.HostRevokeRequest{Host: host(t, "web1")})
			return err
		},
		"revoked by another one": func(o *office, key string) error {
			if _, err := o.redeem(t, o.offer(t, "web1", time.Hour), key); err != nil {
				return err
			}
			_, err := o.add(t.Context(), bus.Caller{Name: "eva"}, proto.HostAddRequest{Host: host(t, "web1"), PublicKey: userKey(t)})
			return err
		},
		"another host's": func(o *office, key string) error {
			_, err := o.redeem(t, o.offer(t, "web2", time.Hour), key)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, t.TempDir())
			key := userKey(t)
			if err := spoil(o, key); err != nil {
				t.Fatal(err)
			}
			token := o.offer(t, "web1", time.Hour)
			for range 2 {
				_, err := o.redeem(t, token, key)
				if r, ok := errors.AsType[*enroll.RefusalError](err); !ok || r.Status != proto.EnrollOtherKey {
					t.Errorf("with that key: error = %v, want a refusal with %d", err, proto.EnrollOtherKey)
				}
			}
			other := userKey(t)
			if r, err := o.redeem(t, token, other); err != nil || !strings.HasPrefix(r.JWT, "web1 "+other) {
				t.Errorf("with another one: %+v, %v", r, err)
			}
			_, err := o.redeem(t, token, key)
			mustBeForbidden(t, "with that key again, once the token was used", err)
		})
	}
}

func TestATokenThatIsUsedAgainAndAgainDoesNotFillTheAudit(t *testing.T) {
	o := newOffice(t, t.TempDir())
	token, key := o.offer(t, "web1", time.Hour), userKey(t)
	for range 100 {
		if _, err := o.redeem(t, token, key); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(o.audits); n < 2 || n > 2+diaryEntries {
		t.Errorf("%d entries, want that it was made, and at most %d that it was used", n, 1+diaryEntries)
	}
	other := userKey(t)
	if _, err := o.redeem(t, o.offer(t, "web1", time.Hour), other); err != nil {
		t.Fatal(err)
	}
	if last := o.audits[len(o.audits)-1]; last.Act != proto.ActHostEnroll || !strings.Contains(last.Message, other) {
		t.Errorf("that another key took its place is not in the audit, whose last entry is %+v", last)
	}
}

func TestWhoMadeATokenAndWhereItWasUsedIsInTheAudit(t *testing.T) {
	o := newOffice(t, t.TempDir())
	token, key := o.offer(t, "web1", time.Hour), userKey(t)
	if _, err := o.redeem(t, token, key); err != nil {
		t.Fatal(err)
	}
	if len(o.audits) != 2 {
		t.Fatalf("audit = %+v", o.audits)
	}
	if e := o.audits[0]; e.Act != proto.ActHostToken || e.Actor != "ada" || e.Host != token.Host() {
		t.Errorf("when it was made: %+v", e)
	}
	if e := o.audits[1]; e.Act != proto.ActHostEnroll || e.Actor != "ada" || e.From != "192.0.2.7" || !strings.Contains(e.Message, key) {
		t.Errorf("when it was used: %+v", e)
	}
	for _, e := range o.audits {
		if strings.Contains(e.Message, token.Reveal()[5:]) {
			t.Errorf("the token is in the audit: %+v", e)
		}
	}
}

func TestTokensThatDoNotCount(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, o *office, token proto.Token) proto.Token{
		"expired": func(_ *testing.T, o *office, token proto.Token) proto.Token {
			o.clock = o.clock.Add(time.Hour)
			return token
		},
		"replaced by a newer one": func(t *testing.T, o *office, token proto.Token) proto.Token {
			o.offer(t, "web1", time.Hour)
			return token
		},
		"never made": func(t *testing.T, _ *office, _ proto.Token) proto.Token { return proto.NewToken(host(t, "web1")) },
		"of a host that is not known": func(t *testing.T, _ *office, _ proto.Token) proto.Token {
			return proto.NewToken(host(t, "web9"))
		},
		"the host was revoked": func(t *testing.T, o *office, token proto.Token) proto.Token {
			if _, err := o.revoke(t.Context(), bus.Caller{Name: "eva"}, proto.HostRevokeRequest{Host: token.Host()}); err != nil {
				t.Fatal(err)
			}
			return token
		},
		"the host was added by hand": func(t *testing.T, o *office, token proto.Token) proto.Token {
			if _, err := o.add(t.Context(), bus.Caller{Name: "eva"}, proto.HostAddRequest{Host: token.Host(), PublicKey: userKey(t)}); err != nil {
				t.Fatal(err)
			}
			return token
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, t.TempDir())
			token := spoil(t, o, o.offer(t, "web1", time.Hour))
			key := userKey(t)
			_, err := o.redeem(t, token, key)
			mustBeForbidden(t, name, err)
			if k, _ := o.book.Newest(token.Host()); k.PublicKey == key {
				t.Error("the key counts all the same")
			}
		})
	}
}

func TestOfManyWhoRaceWithOneTokenOneWins(t *testing.T) {
	o := newOffice(t, t.TempDir())
	token := o.offer(t, "web1", time.Hour)
	keys := make([]string, 16)
	for i := range keys {
		keys[i] = userKey(t)
	}
	won := make(chan string, len(keys))
	var all sync.WaitGroup
	for _, key := range keys {
		all.Go(func() {
			switch err := o.book.Redeem(token, enroll.Key{PublicKey: key, Added: o.clock}); {
			case err == nil:
				won <- key
			case !errors.Is(err, enroll.ErrToken):
				t.Errorf("who lost: error = %v, want %v", err, enroll.ErrToken)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d won", len(won))
	}
	if k, _ := o.book.Newest(token.Host()); k.PublicKey != <-won || k.IsRevoked() {
		t.Errorf("key = %+v", k)
	}
}

func TestATokenReplacesTheKeyOfAMachineThatWasInstalledAnew(t *testing.T) {
	o := newOffice(t, t.TempDir())
	before, after := userKey(t), userKey(t)
	if _, err := o.add(t.Context(), bus.Caller{Name: "ada"}, proto.HostAddRequest{Host: host(t, "web1"), PublicKey: before}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.redeem(t, o.offer(t, "web1", time.Hour), after); err != nil {
		t.Fatal(err)
	}
	if len(o.told.Hosts) != 1 || o.told.Hosts[0] != before {
		t.Errorf("NATS refuses %v, want the key before", o.told)
	}
}

func TestExpiredCredentialsAreRenewedOverHTTPUnlessRevoked(t *testing.T) {
	o := newOffice(t, t.TempDir())
	web1, key := host(t, "web1"), userKey(t)
	if _, err := o.add(t.Context(), bus.Caller{Name: "ada"}, proto.HostAddRequest{Host: web1, PublicKey: key}); err != nil {
		t.Fatal(err)
	}
	o.clock = o.clock.Add(90 * 24 * time.Hour)
	r, err := o.Renew(t.Context(), proto.EnrollRequest{Host: web1, PublicKey: key}, "192.0.2.7")
	if err != nil || !r.Expires.Equal(o.clock.Add(o.lifetime)) || len(r.Servers) > 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := o.revoke(t.Context(), bus.Caller{Name: "eva"}, proto.HostRevokeRequest{Host: web1}); err != nil {
		t.Fatal(err)
	}
	_, err = o.Renew(t.Context(), proto.EnrollRequest{Host: web1, PublicKey: key}, "192.0.2.7")
	mustBeForbidden(t, "revoked", err)
	_, err = o.Renew(t.Context(), proto.EnrollRequest{Host: host(t, "web2"), PublicKey: key}, "192.0.2.7")
	mustBeForbidden(t, "for another host", err)
}
