package controller_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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
	controllertest.WithTLS(&cfg)
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
	eva, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	added, err := bus.Call[proto.OperatorAddRequest, proto.OperatorAddReply](t.Context(), admin, proto.EndpointOperatorAdd,
		proto.OperatorAddRequest{Name: "eva", Role: proto.RoleViewer, PublicKey: eva.PublicKey})
	if a := added.Access; err != nil || !slices.Equal(a.Servers, []string{url}) || len(a.Pins) > 0 {
		t.Errorf("an operator is told %+v, %v; want the servers, and no key: the controller's own is none of theirs", a, err)
	}
	said, err := bus.Call[proto.ExternalConfigRequest, proto.ExternalConfigReply](t.Context(), admin, proto.EndpointNATSConfig, proto.ExternalConfigRequest{})
	if err != nil || !strings.Contains(said.Text, "resolver_preload") || said.Text == text {
		t.Errorf("configuration after the revocation: %v, %s", err, said.Text)
	}
}

// What the administrator was told of the server before does not outlast it.
func TestTheAdministratorIsToldOfAnExternalNATS(t *testing.T) {
	cfg := controllertest.Config(filepath.Join(t.TempDir(), "state"))
	controllertest.WithTLS(&cfg)
	const servers = "tls://127.0.0.1:1,tls://127.0.0.1:2"
	pin, err := proto.ParsePin("sha256:" + strings.Repeat("A", 43) + "=")
	if err != nil {
		t.Fatal(err)
	}
	key, err := proto.GenerateKey("test-cache-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := controllertest.WriteCertificate(ca, filepath.Join(t.TempDir(), "key.pem"), "n1.example"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		nats controller.NATSConfig
		want proto.Access // without servers: as the controller's own
	}{
		{"embedded", cfg.NATS, proto.Access{}},
		{"with pins", controller.NATSConfig{URL: servers, TLS: controller.NATSTLSConfig{Pins: []proto.Pin{pin}}}, proto.Access{Servers: strings.Split(servers, ","), Pins: []proto.Pin{pin}}},
		{"with authorities", controller.NATSConfig{URL: servers, TLS: controller.NATSTLSConfig{CAFile: ca}}, proto.Access{Servers: strings.Split(servers, ","), CAFile: ca}},
		{"embedded again", cfg.NATS, proto.Access{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg.NATS = tt.nats
			c, err := controller.Open(t.Context(), controller.Options{
				Config: cfg, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Version: "0.0.0-test",
				Parts: (&controllertest.World{}).Parts(key.Public()),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}()
			if own, ok := c.Pin(); len(tt.want.Servers) == 0 && ok {
				tt.want = proto.Access{Servers: []string{c.NATSURL()}, Pins: []proto.Pin{own}}
			}
			tt.want.Format = proto.Format1
			text, err := os.ReadFile(strings.TrimSuffix(c.AdminCredentials(), ".creds") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := proto.ParseAccess(text); err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
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
