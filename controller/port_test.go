package controller_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
	"kedge/proto/outbound"
)

// startSecure starts a controller that speaks TLS, edited.
func startSecure(t *testing.T, edit ...func(*controller.Config)) *controllertest.Running {
	t.Helper()
	edits := append([]func(*controller.Config){controllertest.WithTLS}, edit...)
	r, err := controllertest.Start(context.WithoutCancel(t.Context()), filepath.Join(t.TempDir(), "state"), &controllertest.World{}, t.Output(), edits...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Errorf("the controller ended with %v", err)
		}
	})
	return r
}

// reach asks for the fleet at server, as the administrator.
func reach(t *testing.T, r *controllertest.Running, server string, o outbound.Options) error {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{
		Servers: []string{server}, Name: "test", Credentials: r.AdminCredentials(), Outbound: o, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	for state, changed := conn.Watch(); !state.Connected; state, changed = conn.Watch() {
		if state.Err != nil {
			return state.Err
		}
		<-changed
	}
	_, err = bus.Call[proto.FleetRequest, proto.FleetReply](t.Context(), conn, proto.EndpointFleet, proto.FleetRequest{})
	return err
}

// NATS sees our own HTTP server, and the audit the client behind it.
func TestTheAuditSaysWhereACallByWebSocketCameFrom(t *testing.T) {
	r := startSecure(t)
	trust, err := r.Outbound().TLS()
	if err != nil {
		t.Fatal(err)
	}
	id, err := bus.ReadIdentity(r.AdminCredentials())
	if err != nil {
		t.Fatal(err)
	}
	web1, err := proto.ParseHostName("web1")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"127.0.0.2", "127.0.0.3"}
	for _, from := range want {
		nc, err := nats.Connect("wss://"+r.HTTPAddress()+"/nats", nats.UserCredentials(r.AdminCredentials()), nats.Secure(trust),
			nats.CustomInboxPrefix(proto.InboxRoot+id.PublicKey), nats.SetCustomDialer(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}))
		if err != nil {
			t.Fatal(err)
		}
		request := `{"host":"web1","hash":"` + proto.NewToken(web1).Hash() + `","for":3600000000000}`
		if _, err := nc.Request(proto.EndpointHostToken.Subject(), []byte(request), time.Minute); err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
	conn, err := bus.Connect(t.Context(), bus.Options{
		Servers: []string{r.NATSURL()}, Name: "test", Credentials: r.AdminCredentials(), Outbound: r.Outbound(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.AwaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	audit, err := bus.Call[proto.AuditRequest, proto.AuditReply](t.Context(), conn, proto.EndpointAudit, proto.AuditRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range audit.Entries {
		if e.Entry.Act == proto.ActHostToken {
			got = append(got, e.Entry.From)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("from %v, want %v", got, want)
	}
}

func TestNATSIsReachedByTLSAndByWebSocketOnThePortOfHTTP(t *testing.T) {
	r := startSecure(t)
	other, err := proto.ParsePin("sha256:" + strings.Repeat("A", 43) + "=")
	if err != nil {
		t.Fatal(err)
	}
	webSocket := "wss://" + r.HTTPAddress() + "/nats"
	plain := "nats://" + strings.TrimPrefix(r.NATSURL(), "tls://")
	for name, tt := range map[string]struct {
		server string
		o      outbound.Options
		want   string
	}{
		"tls":                             {r.NATSURL(), r.Outbound(), ""},
		"wss":                             {webSocket, r.Outbound(), ""},
		"nats, to a server that wants it": {plain, r.Outbound(), ""},
		"tls, nobody vouches":             {r.NATSURL(), outbound.Options{}, "unknown authority"},
		"wss, nobody vouches":             {webSocket, outbound.Options{}, "unknown authority"},
		"tls, another key":                {r.NATSURL(), outbound.Options{Pins: []proto.Pin{other}}, "the server's key is " + r.Outbound().Pins[0].String()},
		"wss, another key":                {webSocket, outbound.Options{Pins: []proto.Pin{other}}, "the server's key is " + r.Outbound().Pins[0].String()},
		"another path":                    {"wss://" + r.HTTPAddress() + "/cache", r.Outbound(), "invalid websocket connection"},
	} {
		t.Run(name, func(t *testing.T) {
			err := reach(t, r, tt.server, tt.o)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWhoPinsTakesNoServerWithoutTLS(t *testing.T) {
	c := start(t)
	pin, err := proto.ParsePin("sha256:" + strings.Repeat("A", 43) + "=")
	if err != nil {
		t.Fatal(err)
	}
	if err := reach(t, c.Running, c.NATSURL(), outbound.Options{Pins: []proto.Pin{pin}}); err == nil || !strings.Contains(err.Error(), "secure connection not available") {
		t.Errorf("error = %v, want a refusal of a server without TLS", err)
	}
}

func TestOnePortIsEnough(t *testing.T) {
	r := startSecure(t, func(c *controller.Config) { c.NATS.Listen = "" })
	if want := "wss://" + r.HTTPAddress() + "/nats"; r.NATSURL() != want {
		t.Errorf("NATS is at %s, want %s", r.NATSURL(), want)
	}
	if err := reach(t, r, r.NATSURL(), r.Outbound()); err != nil {
		t.Error(err)
	}
}

func TestHostsAreReachedThroughAnHTTPProxy(t *testing.T) {
	r := startSecure(t)
	ports := map[string]string{
		"build.example:443":  r.HTTPAddress(),
		"build.example:4222": strings.TrimPrefix(r.NATSURL(), "tls://"),
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { connect(w, r, ports) }))
	defer proxy.Close()
	o := r.Outbound()
	o.Proxy = strings.Replace(proxy.URL, "http://", "http://kedge:s3cret@", 1)
	for _, server := range []string{"wss://build.example/nats", "tls://build.example:4222"} {
		if err := reach(t, r, server, o); err != nil {
			t.Errorf("%s: %v", server, err)
		}
	}
	o.Proxy = proxy.URL
	if err := reach(t, r, "wss://build.example/nats", o); err == nil || !strings.Contains(err.Error(), "wants a user and a password") {
		t.Errorf("without a password: error = %v", err)
	}
	o.Proxy = strings.Replace(proxy.URL, "http://", "http://kedge:s3cret@", 1)
	if err := reach(t, r, "wss://elsewhere.example/nats", o); err == nil || !strings.Contains(err.Error(), "403 Forbidden") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("elsewhere: error = %v", err)
	}
}

// connect is what an HTTP proxy does: it brings who says the password to one of
// ports.
func connect(w http.ResponseWriter, r *http.Request, ports map[string]string) {
	switch to, known := ports[r.Host]; {
	case r.Header.Get("Proxy-Authorization") != "Basic a2VkZ2U6czNjcmV0":
		w.WriteHeader(http.StatusProxyAuthRequired)
	case r.Method != http.MethodConnect || !known:
		w.WriteHeader(http.StatusForbidden)
	default:
		upstream, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer upstream.Close()
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(upstream, conn)
			_ = upstream.Close()
		}()
		_, _ = io.Copy(conn, upstream)
		_ = conn.Close()
		<-done
	}
}

func TestTheCertificateComesFromFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := controllertest.WriteCertificate(cert, key, "build.example"); err != nil {
		t.Fatal(err)
	}
	r := startSecure(t, func(c *controller.Config) { c.HTTP.CertificateFile, c.HTTP.KeyFile = cert, key })
	o := outbound.Options{CAFile: cert}
	if err := reach(t, r, r.NATSURL(), o); err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("under another name: error = %v", err)
	}
	ports := map[string]string{"build.example:443": r.HTTPAddress()}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { connect(w, r, ports) }))
	defer proxy.Close()
	o.Proxy = strings.Replace(proxy.URL, "http://", "http://kedge:s3cret@", 1)
	if err := reach(t, r, "wss://build.example/nats", o); err != nil {
		t.Error(err)
	}
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := bus.Connect(t.Context(), bus.Options{
		Servers: []string{r.NATSURL()}, Name: "test", Credentials: r.AdminCredentials(), Outbound: r.Outbound(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.AwaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	added, err := bus.Call[proto.HostAddRequest, proto.HostAddReply](t.Context(), conn, proto.EndpointHostAdd, proto.HostAddRequest{Host: hostName(t, "web1"), PublicKey: id.PublicKey})
	if err != nil || len(added.Pins) != 0 {
		t.Errorf("hosts are told the pins %v, %v; want none: the key changes with the certificate", added.Pins, err)
	}
}

func TestTheAdministratorIsToldHowToConnect(t *testing.T) {
	r := startSecure(t)
	file := strings.TrimSuffix(r.AdminCredentials(), ".creds") + ".json"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := proto.ParseAccess(text)
	if err != nil || len(a.Servers) != 1 || a.Servers[0] != r.NATSURL() || len(a.Pins) != 1 || a.Pins[0] != r.Outbound().Pins[0] {
		t.Errorf("%s = %+v, %v", file, a, err)
	}
	if stat, err := os.Stat(file); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", file, stat.Mode(), err)
	}
}

func TestHTTPSpeaksTLSAlone(t *testing.T) {
	r := startSecure(t)
	conn, err := net.Dial("tcp", r.HTTPAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: build\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		_ = resp.Body.Close()
	}
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("HTTP without TLS: %v, %v; want %d", resp, err, http.StatusBadRequest)
	}
	secure := tls.Client(mustDial(t, r.HTTPAddress()), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := errors.Join(secure.Handshake(), secure.Close()); err != nil {
		t.Fatal(err)
	}
	if s := secure.ConnectionState(); s.Version != tls.VersionTLS13 || s.NegotiatedProtocol != "h2" {
		t.Errorf("TLS %x, protocol %q; want 1.3 and h2", s.Version, s.NegotiatedProtocol)
	}
}

func mustDial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
