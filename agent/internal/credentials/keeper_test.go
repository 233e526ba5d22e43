package credentials_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/credentials"
	"kedge/proto"
	"kedge/proto/bus"
)

const day = 24 * time.Hour

// A place is a host with credentials, and a controller that it asks.
type place struct {
	t    *testing.T
	id   bus.Identity
	file string
	dir  string

	mu      sync.Mutex
	link    bus.State // guarded by mu, as all below
	changed chan struct{}
	asked   []proto.RenewRequest
	answer  func(r proto.RenewRequest) (proto.RenewReply, error)
}

func newPlace(t *testing.T) *place {
	t.Helper()
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, id: id, dir: t.TempDir(), changed: make(chan struct{}), link: bus.State{Connected: true, Connects: 1}}
	p.file = filepath.Join(p.dir, "host.creds")
	p.answer = func(r proto.RenewRequest) (proto.RenewReply, error) {
		if time.Until(r.Expires) > 15*day {
			return proto.RenewReply{}, nil
		}
		expires := time.Now().Add(30 * day)
		return proto.RenewReply{JWT: p.jwt("web1", p.id.PublicKey, expires), Expires: expires}, nil
	}
	return p
}

// jwt returns one that nobody signed, issued now.
func (p *place) jwt(name, key string, expires time.Time) string {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"sub": key, "name": name, "iat": time.Now().Unix(), "exp": expires.Unix()})
	if err != nil {
		p.t.Fatal(err)
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(body) + ".c2ln"
}

// place puts credentials where a secrets tool would.
func (p *place) place(expires time.Time) {
	p.t.Helper()
	p.placeOf("web1", expires)
}

func (p *place) placeOf(host string, expires time.Time) {
	p.t.Helper()
	b, err := bus.FormatCredentials(p.jwt(host, p.id.PublicKey, expires), p.id.Seed)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.file, b, 0o400); err != nil {
		p.t.Fatal(err)
	}
}

// keep runs a keeper until the test ends.
func (p *place) keep() *credentials.Keeper {
	p.t.Helper()
	host, err := proto.ParseHostName("web1")
	if err != nil {
		p.t.Fatal(err)
	}
	k := credentials.New(credentials.Options{
		Host: host, Credentials: p.file, StateDir: p.dir, Instance: "m1", Link: p, Ask: p.Ask, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Changed: func() {},
	})
	ctx, stop := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Keep(ctx) }()
	p.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	})
	return k
}

func (p *place) Watch() (bus.State, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link, p.changed
}

func (p *place) Ask(_ context.Context, r proto.RenewRequest) (proto.RenewReply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r)
	return p.answer(r)
}

// change changes the place, and wakes who watches the connection.
func (p *place) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// expires returns when the credentials expire that a connection uses.
func (p *place) expires() time.Time {
	p.t.Helper()
	t, err := bus.ReadToken(p.file, credentials.Renewed(p.dir))
	if err != nil {
		p.t.Fatal(err)
	}
	return t.Expires
}

func (p *place) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

func TestCredentialsAreRenewedAfterHalfOfTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		began := time.Now()
		p.place(began.Add(30 * day))
		k := p.keep()
		synctest.Wait()
		if got := p.count(); got != 1 || p.asked[0].Instance != "m1" || p.asked[0].PublicKey != p.id.PublicKey {
			t.Fatalf("at the connection: asked %+v", p.asked)
		}
		time.Sleep(14 * day)
		if got := p.count(); got != 1 {
			t.Errorf("asked %d times within 14 days", got)
		}
		time.Sleep(2 * day)
		if left := time.Until(p.expires()); left < 28*day {
			t.Errorf("after 16 days they are valid for %s", left)
		}
		time.Sleep(365 * day)
		if left := time.Until(p.expires()); left < 14*day {
			t.Errorf("after a year they are valid for %s", left)
		}
		if s := k.State(); s.Reason != "" || s.Expires != p.expires() {
			t.Errorf("state = %+v", s)
		}
		if info, err := os.Stat(credentials.Renewed(p.dir)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("renewed: %v, %v", info, err)
		}
	})
}

func TestARenewalThatWasMissedIsMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		good := p.answer
		p.answer = func(proto.RenewRequest) (proto.RenewReply, error) { return proto.RenewReply{}, bus.ErrNoController }
		p.place(time.Now().Add(30 * day))
		k := p.keep()
		time.Sleep(29 * day)
		if s := k.State(); s.Reason != "" {
			t.Errorf("while they are valid: %+v", s)
		}
		time.Sleep(2 * day)
		if s := k.State(); s.Reason != proto.ReasonExpiredIdentity {
			t.Errorf("after they expired: %+v", s)
		}
		p.change(func() { p.answer = good })
		synctest.Wait()
		if s := k.State(); s.Reason != "" || time.Until(p.expires()) < 29*day {
			t.Errorf("with a controller again: %+v, %s", s, p.expires())
		}
	})
}

func TestEveryConnectionTellsWhoThisIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		p.place(time.Now().Add(30 * day))
		p.link = bus.State{}
		k := p.keep()
		time.Sleep(time.Hour)
		if got := p.count(); got != 0 {
			t.Errorf("asked %d times without a connection", got)
		}
		for i := range 3 {
			p.change(func() { p.link = bus.State{Connected: true, Connects: uint64(i + 1)} })
			synctest.Wait()
			if got := p.count(); got != i+1 {
				t.Errorf("connection %d: asked %d times", i+1, got)
			}
		}
		p.change(func() {
			p.link.Connects++
			p.answer = func(proto.RenewRequest) (proto.RenewReply, error) {
				return proto.RenewReply{}, bus.Errorf(bus.CodeConflict, "another machine is web1")
			}
		})
		synctest.Wait()
		if s := k.State(); !s.Imposter() || s.Message != "another machine is web1" {
			t.Errorf("state = %+v", s)
		}
	})
}

func TestAControllerThatWasNotThereIsToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		p.answer = func(proto.RenewRequest) (proto.RenewReply, error) { return proto.RenewReply{}, bus.ErrNoController }
		p.place(time.Now().Add(30 * day))
		k := p.keep()
		time.Sleep(day)
		if got := p.count(); got < 30 || got > 70 {
			t.Errorf("asked %d times in a day without a controller, want it about every half an hour", got)
		}
		p.mu.Lock()
		p.answer = func(proto.RenewRequest) (proto.RenewReply, error) {
			return proto.RenewReply{}, bus.Errorf(bus.CodeConflict, "another machine is web1")
		}
		p.mu.Unlock()
		time.Sleep(time.Hour)
		if s := k.State(); !s.Imposter() {
			t.Errorf("with a controller again, over the same connection: %+v", s)
		}
	})
}

func TestNobodyElsesCredentialsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		other, err := bus.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(60 * day)
		answers := []string{p.jwt("web2", p.id.PublicKey, later), p.jwt("web1", other.PublicKey, later), "a.b.c", "nonsense"}
		p.answer = func(proto.RenewRequest) (proto.RenewReply, error) {
			return proto.RenewReply{JWT: answers[len(p.asked)%len(answers)]}, nil
		}
		p.place(time.Now().Add(day))
		p.keep()
		time.Sleep(20 * time.Hour)
		if p.count() < len(answers) {
			t.Errorf("asked %d times", p.count())
		}
		if _, err := os.Stat(credentials.Renewed(p.dir)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("something was kept: %v", err)
		}
	})
}

// TestCredentialsOfAnotherHostAreToldOf says what the server goes by: with accounts of
// Kedge's making the name in the credentials, which is a mere label to those of others.
func TestCredentialsOfAnotherHostAreToldOf(t *testing.T) {
	denied := fmt.Errorf("renew credentials: %w", bus.ErrDenied)
	another := credentials.State{Reason: proto.ReasonRefusedIdentity, Message: "these are the credentials of web5; host is web1"}
	for name, c := range map[string]struct {
		host   string
		answer error
		want   credentials.State
	}{
		"of another host":                       {host: "web5", answer: denied, want: another},
		"of another name, which does not count": {host: "web5"},
		"of this host, which may not ask":       {host: "web1", answer: denied},
		"of another host, with no controller":   {host: "web5", answer: bus.ErrNoController},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t)
				good := p.answer
				p.answer = func(proto.RenewRequest) (proto.RenewReply, error) { return proto.RenewReply{}, c.answer }
				p.placeOf(c.host, time.Now().Add(30*day))
				k := p.keep()
				synctest.Wait()
				got := k.State()
				got.Expires = time.Time{}
				if got != c.want {
					t.Errorf("state = %+v, want %+v", got, c.want)
				}
				p.place(time.Now().Add(30 * day))
				p.change(func() {
					p.answer = good
					p.link.Connects++
				})
				synctest.Wait()
				if got := k.State(); got.Reason != "" {
					t.Errorf("with its own: state = %+v", got)
				}
			})
		})
	}
}
