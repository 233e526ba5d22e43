package controller_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

func TestARevokedHostStaysOutUntilItIsEnrolledAnew(t *testing.T) {
	c := start(t)
	web1 := hostName(t, "web1")
	file := c.credentials(t, "web1")
	conn := connectTo(t, c.NATSURL(), file)
	awaitState(t, conn, func(s bus.State) bool { return s.Connected })

	r, err := bus.Call[proto.HostRevokeRequest, proto.HostRevokeReply](t.Context(), c.conn, proto.EndpointHostRevoke, proto.HostRevokeRequest{Host: web1})
	if err != nil {
		t.Fatal(err)
	}
	awaitState(t, conn, func(s bus.State) bool { return !s.Connected && errors.Is(s.Err, bus.ErrNotAuthorized) })
	c.await(t, "the revoked key", func(f proto.FleetReply) bool {
		return len(f.Hosts) == 1 && f.Hosts[0].Key != nil && *f.Hosts[0].Key == r.Key && !r.Key.Revoked.IsZero() && r.Key.RevokedBy == "admin"
	})

	c.restart(t)
	mustBeRefused(t, c.NATSURL(), file)
	again := c.credentials(t, "web1")
	awaitState(t, connectTo(t, c.NATSURL(), again), func(s bus.State) bool { return s.Connected })
	mustBeRefused(t, c.NATSURL(), file)

	// Installed anew, without having been revoked.
	third := c.credentials(t, "web1")
	awaitState(t, connectTo(t, c.NATSURL(), third), func(s bus.State) bool { return s.Connected })
	mustBeRefused(t, c.NATSURL(), again)
}

// A secrets tool writes another file, and tells nobody: when the key from before is
// revoked, as it is once another one is made, the host is back with the next one.
func TestCredentialsThatWereReplacedCountAtTheNextConnection(t *testing.T) {
	c := start(t)
	file := c.credentials(t, "web1")
	conn := connectTo(t, c.NATSURL(), file)
	awaitState(t, conn, func(s bus.State) bool { return s.Connected })
	next, err := os.ReadFile(c.credentials(t, "web1"))
	if err != nil {
		t.Fatal(err)
	}
	awaitState(t, conn, func(s bus.State) bool { return !s.Connected })
	if err := os.WriteFile(file, next, 0o600); err != nil {
		t.Fatal(err)
	}
	awaitState(t, conn, func(s bus.State) bool { return s.Connected && s.Connects == 2 })
}

func TestAKeyThatWasRevokedIsNeverVouchedForAgain(t *testing.T) {
	c := start(t)
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	add := func(name, key string) error {
		_, err := bus.Call[proto.HostAddRequest, proto.HostAddReply](t.Context(), c.conn, proto.EndpointHostAdd,
			proto.HostAddRequest{Host: hostName(t, name), PublicKey: key})
		return err
	}
	if err := errors.Join(add("web1", id.PublicKey), add("web1", id.PublicKey)); err != nil {
		t.Fatal(err) // asked twice, because the answer was lost
	}
	if _, err := bus.Call[proto.HostRevokeRequest, proto.HostRevokeReply](t.Context(), c.conn, proto.EndpointHostRevoke,
		proto.HostRevokeRequest{Host: hostName(t, "web1")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web1", "web2"} {
		var said *bus.APIError
		if err := add(name, id.PublicKey); !errors.As(err, &said) || said.Code != bus.CodeRefused {
			t.Errorf("the revoked key for %s: error = %v, want a refusal", name, err)
		}
	}
}

// connectTo begins to connect with the credentials in file.
func connectTo(t *testing.T, url, file string) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{
		Servers: []string{url}, Name: "test", Credentials: file, Log: slog.New(slog.DiscardHandler),
		Backoff: bus.Backoff{Base: 10 * time.Millisecond, Cap: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// awaitState fails the test unless the state of conn comes to fulfil ok.
func awaitState(t *testing.T, conn *bus.Conn, ok func(bus.State) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		s, changed := conn.Watch()
		if ok(s) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the connection stays in state %+v", s)
		}
	}
}

// mustBeRefused fails the test if NATS lets in who has the credentials in file.
func mustBeRefused(t *testing.T, url, file string) {
	t.Helper()
	awaitState(t, connectTo(t, url, file), func(s bus.State) bool {
		if s.Connected {
			t.Fatal("connected")
		}
		return errors.Is(s.Err, bus.ErrNotAuthorized)
	})
}

func (c *controllerTest) restart(t *testing.T) {
	t.Helper()
	c.stop(t)
	c.start(t)
}

func TestAHostThatIsConnectedRenewsItsCredentials(t *testing.T) {
	c := start(t)
	file := c.credentials(t, "web1")
	has, err := bus.ReadToken(file, "")
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(has.Expires); left < 29*24*time.Hour || left > 30*24*time.Hour {
		t.Errorf("the credentials are valid for %s, want 30 days", left)
	}
	web1 := connectHost(t, c.NATSURL(), "web1", file)
	ask := func(r proto.RenewRequest) proto.RenewReply {
		t.Helper()
		for {
			reply, err := web1.Renew(t.Context(), r)
			if errors.Is(err, bus.ErrNoController) {
				continue // it has just started
			}
			if err != nil {
				t.Fatal(err)
			}
			return reply
		}
	}
	if r := ask(proto.RenewRequest{PublicKey: has.PublicKey, Expires: has.Expires}); r.JWT != "" {
		t.Errorf("at once: %+v", r)
	}
	r := ask(proto.RenewRequest{PublicKey: has.PublicKey, Expires: has.Expires.Add(-time.Hour)})
	got, err := bus.ParseToken(r.JWT)
	if err != nil || got.PublicKey != has.PublicKey || got.Name != "web1" || !got.Expires.Equal(r.Expires) || !got.Expires.Equal(has.Expires) {
		t.Errorf("after a lost answer: %+v, %v; have %+v", got, err, has)
	}
}
