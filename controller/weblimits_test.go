package controller

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller/internal/certificate"
)

// A hall is a listener of connections in this process.
type hall struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newHall() *hall {
	h := &hall{conns: make(chan net.Conn), closed: make(chan struct{})}
	h.close = sync.OnceFunc(func() { close(h.closed) })
	return h
}

// Accept implements net.Listener.
func (h *hall) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *hall) Close() error { h.close(); return nil }

// Addr implements net.Listener.
func (h *hall) Addr() net.Addr { return &net.TCPAddr{} }

// enter connects.
func (h *hall) enter() net.Conn {
	client, server := net.Pipe()
	h.conns <- server
	return client
}

func TestSlowClientsAreCutOff(t *testing.T) {
	for name, tt := range map[string]struct {
		tls   bool
		says  string // at once
		drips string // again and again, a byte a second
		limit time.Duration
	}{
		"nothing":                 {says: "", limit: headerTimeout},
		"half a header":           {says: "GET /healthz HTTP/1.1\r\nX: ", drips: "x", limit: headerTimeout},
		"half a body":             {says: "GET /healthz HTTP/1.1\r\nHost: build\r\nContent-Length: 60000\r\n\r\n", drips: "x", limit: requestTimeout},
		"nothing after a request": {says: "GET /healthz HTTP/1.1\r\nHost: build\r\n\r\n", limit: idleTimeout},
		"no TLS":                  {tls: true, says: "", limit: headerTimeout},
		"half of TLS":             {tls: true, says: "\x16\x03\x01\x02\x00\x01", limit: headerTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			key := filepath.Join(t.TempDir(), "tls.pem")
			synctest.Test(t, func(t *testing.T) {
				log := slog.New(slog.DiscardHandler)
				cert, err := certificate.Open(certificate.Options{OwnKeyFile: key, Log: log})
				if err != nil {
					t.Fatal(err)
				}
				config := cert.TLS("http/1.1")
				if !tt.tls {
					config = nil
				}
				reads := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, err := io.Copy(io.Discard, r.Body)
					answer(w, err)
				})
				l := newHall()
				w := newWeb(l, config, reads, log)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- w.run(ctx) }()

				began := time.Now()
				conn := l.enter()
				var dripping sync.WaitGroup
				dripping.Go(func() { _, _ = io.WriteString(conn, tt.says); drip(conn, tt.drips) })
				_, _ = io.Copy(io.Discard, conn) // until the server hangs up
				took := time.Since(began)
				_ = conn.Close()
				dripping.Wait()
				if slack := 2 * time.Second; took > tt.limit+slack {
					t.Errorf("it had %s, want %s", took, tt.limit)
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// drip writes text again and again, until nobody reads it.
func drip(w io.Writer, text string) {
	for text != "" {
		time.Sleep(time.Second)
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

func TestConnectionsFromOneAddressAreBounded(t *testing.T) {
	d := &door{open: map[string]int{}}
	for range maxFromOneAddress {
		if !d.enter("10.0.0.1") {
			t.Fatal("it is shut too early")
		}
	}
	if d.enter("10.0.0.1") {
		t.Error("one address may have more than its share")
	}
	if !d.enter("10.0.0.2") {
		t.Error("another address is shut out")
	}
	d.leave("10.0.0.1")
	if !d.enter("10.0.0.1") {
		t.Error("it stays shut after one has left")
	}
	for n := 0; d.enter(strings.Repeat("x", n%100)); n++ {
		if n > maxConnections {
			t.Fatal("it is never shut")
		}
	}
	d.leave("10.0.0.2")
	if _, known := d.open["10.0.0.2"]; known {
		t.Error("who has left is remembered for ever")
	}
}

// testPages are pages behind which everything is secret.
func testPages(t *testing.T) http.Handler {
	t.Helper()
	registry := prometheus.NewRegistry()
	newMetrics(registry)
	return pages{
		enrol: http.NotFoundHandler(), hooks: http.NotFoundHandler(), api: http.NotFoundHandler(), cache: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/nix-cache-info" {
				http.NotFound(w, r)
			}
		}),
		metrics: registry, ready: func() error { return errors.New("dial tcp 10.0.0.9:4222: connection refused") },
		nats: "127.0.0.1:1", visitors: newVisitors(), insiders: defaultHTTP().MetricsFrom,
	}.handler(slog.New(slog.DiscardHandler))
}

func TestMetricsAreForInsiders(t *testing.T) {
	h := testPages(t)
	for name, tt := range map[string]struct {
		from, header string
		inside       bool
	}{
		"this machine":                       {from: "127.0.0.1:5", inside: true},
		"this machine by IPv6":               {from: "[::1]:5", inside: true},
		"this machine by IPv4 in IPv6":       {from: "[::ffff:127.0.0.1]:5", inside: true},
		"another":                            {from: "192.0.2.1:5"},
		"another through a proxy here":       {from: "127.0.0.1:5", header: "X-Forwarded-For"},
		"another through a proxy's standard": {from: "127.0.0.1:5", header: "Forwarded"},
		"nobody":                             {from: "@"},
	} {
		for path, secret := range map[string]string{"/metrics": "kedge_controller_", "/readyz": "10.0.0.9"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr = tt.from
			if tt.header != "" {
				r.Header.Set(tt.header, "127.0.0.1")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := strings.Contains(w.Body.String(), secret); got != tt.inside {
				t.Errorf("%s, from %s: got %d %q", path, name, w.Code, w.Body)
			}
		}
	}
}

func TestPathsLeadNowhereElse(t *testing.T) {
	server := httptest.NewServer(testPages(t))
	defer server.Close()
	for _, path := range []string{
		"/cache/../metrics", "/cache/%2e%2e/metrics", "/cache/..%2fmetrics", "/cache//etc/passwd", "/cache/nar/../../keys/tls.pem",
		"//metrics", "/nats/../metrics", "/nats/admin.creds", "/nats", "/cache", "/.", "/cache/nix-cache-info/..", "/enroll/../keys/release",
		"http://169.254.169.254/latest", "/cache/\x00",
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		// From elsewhere, as far as the pages know; and raw, as clients clean paths.
		_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: build\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%q: %v", path, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode == http.StatusOK || strings.Contains(string(body), "kedge_controller_") {
			t.Errorf("%q: got %s %q, %v", path, resp.Status, body, err)
		}
		_ = errors.Join(resp.Body.Close(), conn.Close()) // read to its end
	}
}

func TestRequestsAreBounded(t *testing.T) {
	h := pages{cache: http.NotFoundHandler(), enrol: http.NotFoundHandler(), hooks: http.NotFoundHandler(), api: http.NotFoundHandler(), metrics: prometheus.NewRegistry(), ready: func() error { return nil }}.handler(slog.New(slog.DiscardHandler))
	server := httptest.NewUnstartedServer(h)
	server.Config.MaxHeaderBytes = maxHeader
	server.Start()
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/healthz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X", strings.Repeat("x", 2*maxHeader))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a huge header: %s", resp.Status)
	}
}
