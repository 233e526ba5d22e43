package controller

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestWeb(t *testing.T) {
	var notReady error
	registry := prometheus.NewRegistry()
	newMetrics(registry)
	cache := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "cache "+r.URL.Path) })
	p := pages{
		cache: cache, enrol: http.NotFoundHandler(), hooks: http.NotFoundHandler(), api: http.NotFoundHandler(), metrics: registry, ready: func() error { return notReady }, insiders: defaultHTTP().MetricsFrom,
	}
	w, err := listenWeb(t.Context(), "127.0.0.1:0", nil, p.handler(slog.New(slog.DiscardHandler)), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

	for _, tt := range []struct {
		name, method, path string
		notReady           error
		code               int
		body               string
	}{
		{name: "a file of the cache", path: "/cache/nix-cache-info", code: 200, body: "cache /nix-cache-info"},
		{name: "metrics", path: "/metrics", code: 200, body: "kedge_controller_builds_total"},
		{name: "alive, even if not ready", path: "/healthz", notReady: errors.New("no NATS"), code: 200, body: "ok"},
		{name: "ready", path: "/readyz", code: 200, body: "ok"},
		{name: "not ready, and why", path: "/readyz", notReady: errors.New("not connected to NATS"), code: 503, body: "not connected to NATS"},
		{name: "nothing else", path: "/", code: 404},
		{name: "nothing to write to", method: http.MethodPut, path: "/cache/x.narinfo", code: 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			notReady = tt.notReady
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+w.listener.Addr().String()+tt.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			if r.StatusCode != tt.code || !strings.Contains(string(body), tt.body) {
				t.Errorf("%s = %d %q, want %d %q", tt.path, r.StatusCode, body, tt.code, tt.body)
			}
		})
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run returned %v", err)
	}
}

func TestWebSaysThatItsAddressIsTaken(t *testing.T) {
	first, err := listenWeb(t.Context(), "127.0.0.1:0", nil, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer first.listener.Close()
	if _, err := listenWeb(t.Context(), first.listener.Addr().String(), nil, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "http.listen") {
		t.Errorf("error = %v, want one about http.listen", err)
	}
}

// What is for people takes nothing from what is for programs.
func TestPagesForPeopleAreBesideTheOthers(t *testing.T) {
	text := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
	}
	p := pages{
		cache: text("cache"), enrol: text("enrol"), hooks: text("hooks"), api: text("api"), people: text("people"),
		metrics: prometheus.NewRegistry(), ready: func() error { return nil },
	}
	h := p.handler(slog.New(slog.DiscardHandler))
	for target, want := range map[string]string{
		"/": "people", "/hosts/web1": "people", "/cache/nix-cache-info": "cache", "/enroll": "enrol", "/hook/main": "hooks", "/api/v1/fleet": "api", "/healthz": "ok\n",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if got := w.Body.String(); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}
