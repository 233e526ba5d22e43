// Package natstest runs NATS servers for tests, in this process, and connects to them.
package natstest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"kedge/proto/bus"
)

// Patience is how long something may take on a machine that is busy.
const Patience = 60 * time.Second

// Open returns the options of a server on a port of its own that lets everybody in, and
// keeps its streams in dir.
func Open(dir string) *server.Options {
	return &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, JetStreamMaxStore: 64 << 30, StoreDir: dir}
}

// Configured returns the options of a server on a port of its own with what the
// controller says that it needs; all that it keeps is in dir.
func Configured(text, dir string) (*server.Options, error) {
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/var/lib/nats", dir)), 0o600); err != nil {
		return nil, err
	}
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		return nil, fmt.Errorf("configure a NATS server: %w", err)
	}
	o.Host, o.Port = "127.0.0.1", server.RANDOM_PORT
	return o, nil
}

// Start starts a server, which says nothing and heeds no signals, and returns when it
// has clients. It runs until [Stop].
func Start(o *server.Options) (*server.Server, error) {
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("start a NATS server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(Patience) {
		Stop(s)
		return nil, fmt.Errorf("start NATS server %s: nobody can connect", s.Name())
	}
	return s, nil
}

// Stop stops a server, and returns when it has ended.
func Stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// Connect connects to a server that lets everybody in, as a controller does; dir gets
// the credentials that nobody looks at.
func Connect(ctx context.Context, url, dir string) (*bus.Conn, error) {
	id, err := bus.NewIdentity()
	if err != nil {
		return nil, err
	}
	text, err := bus.FormatCredentials("a.b.c", id.Seed)
	file := filepath.Join(dir, "x.creds")
	if err := errors.Join(err, os.WriteFile(file, text, 0o600)); err != nil {
		return nil, err
	}
	c, err := bus.Connect(ctx, bus.Options{
		Servers: []string{url}, Name: "test", Credentials: file, Log: slog.New(slog.DiscardHandler),
		Backoff: bus.Backoff{Base: 10 * time.Millisecond, Cap: 100 * time.Millisecond},
	})
	if err != nil {
		return nil, err
	}
	if err := c.AwaitConnected(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
