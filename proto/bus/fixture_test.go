package bus

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"kedge/proto"
)

// The tests of this package use a server that lets everybody in. What
// credentials may do is tested beside the server that decides it.

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

// leakFree fails the test if it leaves goroutines behind.
func leakFree(t *testing.T) {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
}

// startServer starts a server without JetStream and returns its URL.
func startServer(t *testing.T) string {
	t.Helper()
	leakFree(t)
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	return s.ClientURL()
}

// options returns options with fresh credentials.
func options(t *testing.T, url string) Options {
	t.Helper()
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := FormatCredentials("a.b.c", id.Seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.creds")
	if err := os.WriteFile(file, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{
		Servers:     []string{url},
		Name:        "test",
		Credentials: file,
		Backoff:     Backoff{Base: 10 * time.Millisecond, Cap: 50 * time.Millisecond},
		Log:         slog.New(slog.DiscardHandler),
	}
}

// open returns a connection that is closed when the test ends.
func open(t *testing.T, url string) *Conn {
	t.Helper()
	c, err := Connect(t.Context(), options(t, url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// rawClient connects with nats.go alone.
func rawClient(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// respond makes nc call f with what comes on subject.
func respond(t *testing.T, nc *nats.Conn, subject string, f func(*nats.Msg)) {
	t.Helper()
	if _, err := nc.Subscribe(subject, f); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// ring rings the doorbell of name, as the server does for message seq on key.
func ring(t *testing.T, nc *nats.Conn, name proto.HostName, key string, seq uint64) {
	t.Helper()
	m := nats.NewMsg(proto.DoorbellSubject(name))
	m.Header.Set("Nats-Subject", key)
	m.Header.Set("Nats-Sequence", strconv.FormatUint(seq, 10))
	if err := nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
}

func awaitRing(t *testing.T, h *Host) {
	t.Helper()
	receive(t, h.Doorbell())
}

// receive returns the next element of c.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came within %v", patience)
		panic("unreachable")
	}
}

// await fails the test unless the state of c comes to fulfil ok.
func await(t *testing.T, c *Conn, ok func(State) bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		s, changed := c.Watch()
		if ok(s) {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("the connection stays in state %+v", s)
		}
	}
}

func hostName(t *testing.T, s string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
