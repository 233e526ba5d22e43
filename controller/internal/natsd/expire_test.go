package natsd_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kedge/proto/bus"
)

func TestWhoHasRenewedInTimeComesBackAfterItsCredentialsExpired(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	name := hostName(t, "web1")
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	jwt := func(lifetime time.Duration) string {
		s, err := w.server.HostJWT(name, id.PublicKey, time.Now().Add(lifetime))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	creds, err := bus.FormatCredentials(jwt(5*time.Second), id.Seed)
	if err != nil {
		t.Fatal(err)
	}
	file, renewed := writeFile(t, "web1.creds", creds), filepath.Join(t.TempDir(), "renewed.jwt")
	open := func(renewed string) *bus.Conn {
		c, err := bus.Connect(t.Context(), bus.Options{
			Servers: []string{w.server.ClientURL()}, Name: "web1", Credentials: file, Renewed: renewed,
			Backoff: bus.Backoff{Base: 10 * time.Millisecond, Cap: 100 * time.Millisecond}, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	kept, forgotten := open(renewed), open("")
	awaitConnected(t, kept)
	awaitConnected(t, forgotten)
	if err := os.WriteFile(renewed, []byte(jwt(time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, forgotten, func(s bus.State) bool { return !s.Connected && s.Err != nil })
	await(t, kept, func(s bus.State) bool { return s.Connected && s.Connects == 2 })
	await(t, forgotten, func(s bus.State) bool { return !s.Connected && errors.Is(s.Err, bus.ErrNotAuthorized) })
}
