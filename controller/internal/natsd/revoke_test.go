package natsd_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"

	"kedge/controller/internal/natsd"
	"kedge/proto"
	"kedge/proto/bus"
)

func TestWhoIsRevokedIsOutAtOnceAndStaysOut(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	file, id := w.hostFile(t, "web1")
	web1 := connect(t, w.server.ClientURL(), "web1", file)
	awaitConnected(t, web1)
	admin := w.operatorFile(t, proto.RoleAdmin, "eva")
	eva := connect(t, w.server.ClientURL(), "cli", admin)
	awaitConnected(t, eva)
	web2 := w.host(t, "web2")
	publishStatus(t, web2, "web2", "1")

	gone := natsd.Revoked{Hosts: []string{id.PublicKey}, Operators: []string{identityIn(t, admin).PublicKey}}
	if err := w.server.Revoke(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*bus.Conn{web1, eva} {
		await(t, c, func(s bus.State) bool { return !s.Connected && errors.Is(s.Err, bus.ErrNotAuthorized) })
	}
	publishStatus(t, web2, "web2", "2") // nobody else notices

	mustBeRefused(t, w, file)
	w.server.Shutdown()
	s, err := natsd.Start(t.Context(), natsd.Options{StateDir: w.dir, Listen: "127.0.0.1:0", Revoked: gone, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	w.server = s
	mustBeRefused(t, w, file)
	mustBeRefused(t, w, admin)

	// Only what is named is refused: the book decides, not what was said before.
	if err := w.server.Revoke(t.Context(), natsd.Revoked{}); err != nil {
		t.Fatal(err)
	}
	awaitConnected(t, connect(t, w.server.ClientURL(), "web1", file))
}

// mustBeRefused fails the test if the server lets in who has the credentials in
// file.
func mustBeRefused(t *testing.T, w *world, file string) {
	t.Helper()
	c := connect(t, w.server.ClientURL(), "refused", file)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		s, changed := c.Watch()
		switch {
		case s.Connected:
			t.Fatal("connected")
		case errors.Is(s.Err, bus.ErrNotAuthorized):
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("neither connected nor refused: %v", s.Err)
		}
	}
}

// TestHostsDoNotNoticeThatAnOperatorIsRevoked, nor that nobody new is: while an account
// changes, nobody answers its users.
func TestHostsDoNotNoticeThatAnOperatorIsRevoked(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	web1 := w.host(t, "web1")
	_, other := w.hostFile(t, "web2")
	gone := natsd.Revoked{Hosts: []string{other.PublicKey}}
	if err := w.server.Revoke(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	publishEventually(t, web1)
	run(t, func(ctx context.Context) error {
		for i := 0; ctx.Err() == nil; i++ {
			id, err := bus.NewIdentity()
			if err != nil {
				return err
			}
			if gone.Operators = append(gone.Operators, id.PublicKey); i%2 == 0 {
				gone.Operators = nil
			}
			if err := w.server.Revoke(ctx, gone); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range 300 {
		publishStatus(t, web1, "web1", strconv.Itoa(i))
	}
}
