package controller_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"kedge/controller/internal/certificate"
	"kedge/proto"
	"kedge/proto/bus"
)

// A between is somebody between hosts and the server, with the server's certificate.
// It writes down what passes.
type between struct {
	listener net.Listener
	server   string // address
	shown    *tls.Config

	mu   sync.Mutex
	said bytes.Buffer // by either side
}

func newBetween(t *testing.T, server string, shown *tls.Config) *between {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not wait
	if err != nil {
		t.Fatal(err)
	}
	b := &between{listener: l, server: server, shown: shown}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.relay(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return b
}

// relay passes on what is said, until either hangs up. NATS says something before TLS.
func (b *between) relay(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", b.server) //nolint:noctx // on this machine
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	info, err := bufio.NewReaderSize(server, 64<<10).ReadBytes('\n')
	if err != nil {
		return
	}
	if _, err := client.Write(info); err != nil {
		return
	}
	in, out := tls.Server(client, b.shown), tls.Client(server, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the thief does not mind
	done := make(chan struct{}, 2)
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(io.MultiWriter(b, to), from) // until either hangs up
		_, _ = client.Close(), server.Close()
		done <- struct{}{}
	}
	go pass(out, in)
	go pass(in, out)
	<-done
	<-done
}

// Write implements io.Writer.
func (b *between) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.Write(p)
}

func (b *between) heard() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.String()
}

// TestTheCertificatesKeyIsInBetween: who has it reads what a host is told, and gets
// nothing with which to be that host.
func TestTheCertificatesKeyIsInBetween(t *testing.T) {
	c := startSecure(t)
	web1, keys := hostName(t, "web1"), filepath.Join(filepath.Dir(c.AdminCredentials()), "keys")
	connect := func(server, credentials string) *bus.Conn {
		conn, err := bus.Connect(t.Context(), bus.Options{
			Servers: []string{server}, Name: "test", Credentials: credentials, Outbound: c.Outbound(), Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		if err := conn.AwaitConnected(t.Context()); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	fleet := bus.NewFleet(connect(c.NATSURL(), filepath.Join(keys, "controller.creds")), slog.New(slog.DiscardHandler))
	if _, err := fleet.PutDesired(t.Context(), web1, []byte("what web1 is told"), 0); err != nil {
		t.Fatal(err)
	}
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	added, err := bus.Call[proto.HostAddRequest, proto.HostAddReply](t.Context(), connect(c.NATSURL(), c.AdminCredentials()), proto.EndpointHostAdd,
		proto.HostAddRequest{Host: web1, PublicKey: id.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := certificate.Open(certificate.Options{OwnKeyFile: filepath.Join(keys, "tls.pem"), Names: []string{"build.example"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	thief := newBetween(t, strings.TrimPrefix(c.NATSURL(), "tls://"), shown.TLS())
	conn := connect("tls://"+thief.listener.Addr().String(), credentialsFile(t, added.JWT, id))
	host := bus.NewHost(conn, web1)
	defer host.Close()
	if raw, err := host.Desired(t.Context()); err != nil || string(raw.Data) != "what web1 is told" {
		t.Fatalf("web1 reads %q, %v", raw.Data, err)
	}
	heard := thief.heard()
	if !strings.Contains(heard, "what web1 is told") || !strings.Contains(heard, added.JWT) {
		t.Errorf("the thief heard %q, want what web1 is told, and who it is", heard)
	}
	if strings.Contains(heard, string(id.Seed)) {
		t.Error("the thief heard web1's key")
	}
	// What the host signed was a nonce of that connection.
	_, rest, _ := strings.Cut(heard, `"sig":"`)
	text, _, _ := strings.Cut(rest, `"`)
	signature, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(signature) == 0 {
		t.Fatalf("the thief heard no signature (%v): %q", err, heard)
	}
	trust, err := c.Outbound().TLS()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(c.NATSURL(), nats.Secure(trust), nats.UserJWT(
		func() (string, error) { return added.JWT, nil },
		func([]byte) ([]byte, error) { return signature, nil },
	))
	if nc != nil {
		nc.Close()
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("with web1's signature from before: error = %v, want %v", err, nats.ErrAuthorization)
	}
}
