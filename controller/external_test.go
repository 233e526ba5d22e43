package controller_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/controller/internal/natsd"
	"kedge/proto"
	"kedge/proto/bus"
)

func TestControllerAddsNoHostsToAnExternalNATS(t *testing.T) {
	server, dir := startTheirs(t)
	runExternal(t, filepath.Join(dir, "state"), server)
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	conn := connectOperator(t, server, dir, proto.RoleAdmin)
	_, err = bus.Call[proto.HostAddRequest, proto.HostAddReply](t.Context(), conn, proto.EndpointHostAdd,
		proto.HostAddRequest{Host: hostName(t, "web1"), PublicKey: id.PublicKey})
	var said *bus.APIError
	if !errors.As(err, &said) || said.Code != bus.CodeRefused || !strings.Contains(said.Message, "nats.url") {
		t.Errorf("error = %v, want a refusal that says why", err)
	}
	fleet, err := bus.Call[proto.FleetRequest, proto.FleetReply](t.Context(), conn, proto.EndpointFleet, proto.FleetRequest{})
	if err != nil || len(fleet.Hosts) != 0 {
		t.Errorf("hosts = %v, %v; want none", fleet.Hosts, err)
	}
	for _, file := range []string{"keys/nats.json", "keys/controller.creds", "admin.creds"} {
		if _, err := os.Stat(filepath.Join(dir, "state", file)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want none: the server does not know its keys", file, err)
		}
	}
}

// startTheirs starts a NATS server that is another one's, with its state in dir/nats.
func startTheirs(t *testing.T) (server *natsd.Server, dir string) {
	t.Helper()
	dir = t.TempDir()
	server, err := natsd.Start(t.Context(), natsd.Options{
		StateDir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	return server, dir
}

// runExternal runs a controller beside server, and returns how to stop it, as the test's end does.
func runExternal(t *testing.T, stateDir string, server *natsd.Server) (stop func()) {
	t.Helper()
	ready := make(chan string, 2) // both states fit
	c := openExternal(t, stateDir, server, ready)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, c.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	if state := <-ready; state != "READY=1" {
		t.Fatalf("state = %s, want READY=1", state)
	}
	return stop
}

// openExternal returns a controller, to be run, whose NATS server is server. It
// says to states when it is ready.
func openExternal(t *testing.T, stateDir string, server *natsd.Server, states chan<- string) *controller.Controller {
	t.Helper()
	cfg := controllertest.Config(stateDir)
	cfg.NATS = controller.NATSConfig{URL: server.ClientURL(), CredentialsFile: server.ControllerCredentials()}
	key, err := proto.GenerateKey("test-cache-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := controller.Open(t.Context(), controller.Options{
		Config: cfg, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Version: "0.0.0-test",
		Parts: (&controllertest.World{}).Parts(key.Public()), Notify: func(state string) { states <- state },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// connectOperator connects as an operator whom server knows.
func connectOperator(t *testing.T, server *natsd.Server, dir string, role proto.Role) *bus.Conn {
	t.Helper()
	creds, err := server.OperatorCredentials(role, string(role))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, string(role)+".creds")
	if err := os.WriteFile(file, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	conn, err := bus.Connect(t.Context(), bus.Options{
		Servers: []string{server.ClientURL()}, Name: "test", Credentials: file, Log: slog.New(slog.DiscardHandler),
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
