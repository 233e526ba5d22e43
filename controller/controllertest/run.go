package controllertest

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller"
	"kedge/controller/internal/natsd"
	"kedge/internal/spec"
	"kedge/proto"
	"kedge/proto/outbound"
)

// A Running is a controller that runs.
type Running struct {
	*controller.Controller
	Registry *prometheus.Registry

	stateDir string
	stop     context.CancelFunc
	ended    chan error
}

// Channel is the only one of [Config].
const Channel = "main"

// Config returns a configuration for tests: free ports on the loopback, and a
// source that is looked at when asked, not before.
func Config(stateDir string) controller.Config {
	c := controller.DefaultConfig()
	c.StateDir = stateDir
	c.Sources = map[string]controller.SourceConfig{Channel: {URL: "/srv/fleet.git", Branch: "main", Poll: time.Hour, Hosts: spec.All()}}
	c.NATS.Listen = "127.0.0.1:0"
	c.NATS.Advertise = []string{"nats://build.example:4222"}
	c.HTTP.Listen = "127.0.0.1:0"
	c.HTTP.TLS = controller.TLSOff
	c.Cache.URLs = []string{"http://build.example:8080/cache"}
	return c
}

// Start runs a controller over w, with its state in a directory, and returns
// when it serves. It must be stopped. The changes are to [Config].
func Start(ctx context.Context, stateDir string, w *World, logs io.Writer, changes ...func(*controller.Config)) (*Running, error) {
	config := Config(stateDir)
	for _, change := range changes {
		change(&config)
	}
	key, err := proto.GenerateKey("test-cache-1", rand.Reader)
	if err != nil {
		return nil, err
	}
	parts := w.Parts(key.Public(), slices.Collect(maps.Keys(config.Sources))...)
	ready := make(chan struct{}, 2) // both states fit
	registry := prometheus.NewRegistry()
	c, err := controller.Open(ctx, controller.Options{
		Config:   config,
		Log:      slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registry: registry,
		Version:  "0.0.0-test",
		Parts:    parts,
		Notify:   func(string) { ready <- struct{}{} },
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	r := &Running{Controller: c, Registry: registry, stateDir: stateDir, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- c.Run(ctx) }() // waited for by Stop
	select {
	case <-ready:
		return r, nil
	case err := <-r.ended:
		stop()
		return nil, errors.Join(err, c.Close())
	}
}

// WithTLS makes a controller speak TLS, with a certificate of its own.
func WithTLS(c *controller.Config) {
	c.HTTP.TLS = controller.TLSOn
	c.NATS.Advertise = []string{"tls://build.example:4222"}
	c.Cache.URLs = []string{"https://build.example/cache"}
}

// Outbound returns how clients of this controller get to it.
func (r *Running) Outbound() outbound.Options {
	pin, ok := r.Pin()
	if !ok {
		return outbound.Options{}
	}
	return outbound.Options{Pins: []proto.Pin{pin}}
}

// OperatorCredentials returns the content of a credentials file, for an operator
// with a name and a role.
func (r *Running) OperatorCredentials(role proto.Role, name string) ([]byte, error) {
	keys, err := natsd.OpenKeys(r.stateDir)
	if err != nil {
		return nil, err
	}
	return keys.OperatorCredentials(role, name)
}

// Stop ends the controller, and returns what it ended with.
func (r *Running) Stop() error {
	r.stop()
	return errors.Join(<-r.ended, r.Close())
}
