package natsd_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"kedge/controller/internal/natsd"
)

// TestWhoSaysNothingIsSentAway: no port keeps a connection of somebody who does not
// say who it is. The server's own bounds are waited for, all at the same time.
func TestWhoSaysNothingIsSentAway(t *testing.T) {
	w := newWorld(t)
	pages := httptest.NewTLSServer(nil) // for its certificate
	defer pages.Close()
	secured, err := natsd.Start(t.Context(), natsd.Options{
		StateDir: t.TempDir(), Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
		TLS: &tls.Config{Certificates: pages.TLS.Certificates, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer secured.Shutdown()
	const upgrade = "GET / HTTP/1.1\r\nHost: build\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	ended := map[string]chan error{}
	for name, c := range map[string]struct{ address, says string }{
		"nothing":                      {w.address(), ""},
		"half of who it is":            {w.address(), `CONNECT {"verbose":`},
		"a ping":                       {w.address(), "PING\r\n"},
		"no TLS":                       {secured.ClientURL()[len("tls://"):], ""},
		"half of TLS":                  {secured.ClientURL()[len("tls://"):], "\x16\x03\x01\x02\x00\x01"},
		"nothing, to WebSocket's port": {w.server.WebSocketAddress(), ""},
		"half a WebSocket":             {w.server.WebSocketAddress(), upgrade},
		"nothing, by WebSocket":        {w.server.WebSocketAddress(), upgrade + "\r\n"},
	} {
		conn, err := net.DialTimeout("tcp", c.address, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, c.says); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, conn) // until the server hangs up
			done <- err
		}()
		ended[name] = done
	}
	for name, done := range ended {
		if err := <-done; errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: it may stay", name)
		}
	}
}
