package controller_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/controller/internal/natstest"
	"kedge/proto"
	"kedge/proto/bus"
)

// startNATS starts a server as others run it, with what the controller says that it
// needs.
func startNATS(t *testing.T, text string) string {
	t.Helper()
	o, err := natstest.Configured(text, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := natstest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { natstest.Stop(s) })
	return s.ClientURL()
}

func TestHostsEnrolAndAreRevokedOnAnExternalNATS(t *testing.T) {
	stateDir := filepath.Join(t.TempDir(), "state")
	cfg := controllertest.Config(stateDir)
	text, err := controller.ExternalNATS(cfg, time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	url := startNATS(t, text)
	cfg.NATS = controller.NATSConfig{URL: url}
	key, err := proto.GenerateKey("test-cache-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 2) // both states fit
	c, err := controller.Open(t.Context(), controller.Options{
		Config: cfg, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Version: "0.0.0-test",
		Parts: (&controllertest.World{}).Parts(key.Public()), Notify: func(state string) { ready <- state },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	defer func() {
		stop()
		if err := errors.Join(<-ended, c.Close()); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil // for the end of the test
		t.Fatal("the controller ended before it was ready:", err)
	}
	admin := connectTo(t, url, c.AdminCredentials())
	if err := admin.AwaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustTakeNoForgedCall(t, url, filepath.Join(stateDir, "keys", "controller.creds"))
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	web1 := hostName(t, "web1")
	r, err := bus.Call[proto.HostAddRequest, proto.HostAddReply](t.Context(), admin, proto.EndpointHostAdd,
		proto.HostAddRequest{Host: web1, PublicKey: id.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	host := connectTo(t, url, credentialsFile(t, r.JWT, id))
	awaitState(t, host, func(s bus.State) bool { return s.Connected })
	if _, err := bus.Call[proto.HostRevokeRequest, proto.HostRevokeReply](t.Context(), admin, proto.EndpointHostRevoke,
		proto.HostRevokeRequest{Host: web1}); err != nil {
		t.Fatal(err)
	}
	awaitState(t, host, func(s bus.State) bool { return !s.Connected && errors.Is(s.Err, bus.ErrNotAuthorized) })
	said, err := bus.Call[proto.ExternalConfigRequest, proto.ExternalConfigReply](t.Context(), admin, proto.EndpointNATSConfig, proto.ExternalConfigRequest{})
	if err != nil || !strings.Contains(said.Text, "resolver_preload") || said.Text == text {
		t.Errorf("configuration after the revocation: %v, %s", err, said.Text)
	}
}

// mustTakeNoForgedCall: whoever runs the server is in every account, and says of a call
// what he likes.
func mustTakeNoForgedCall(t *testing.T, url, credentials string) {
	t.Helper()
	owner, err := nats.Connect(url, nats.UserCredentials(credentials))
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	m := nats.NewMsg(proto.EndpointOperatorList.Subject())
	m.Data = []byte("{}")
	m.Header.Set("Nats-Request-Info", `{"name_tag":"admin","user":"UADMIN","host":"127.0.0.1"}`)
	reply, err := owner.RequestMsg(m, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if code := reply.Header.Get("Nats-Service-Error-Code"); code != string(bus.CodeRefused) {
		t.Errorf("a forged call: code %q, answer %s", code, reply.Data)
	}
}
