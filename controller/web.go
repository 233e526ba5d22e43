package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kedge/controller/internal/forwarded"
	"kedge/controller/internal/hook"
	"kedge/proto"
)

// Limits of HTTP. A slow client must not hold a connection for ever, and one
// large file over a thin line must get through: fetches resume where they ended.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 30 * time.Second
	answerTimeout  = time.Hour // files of the cache have less, and more: see [kedge/controller/internal/cache.Cache.Handler]
	idleTimeout    = 2 * time.Minute
	maxHeader      = 16 << 10
	maxBody        = 64 << 10
	closeTimeout   = 5 * time.Second
)

// pages is what the controller serves over HTTP.
type pages struct {
	cache   http.Handler
	enrol   http.Handler
	hooks   http.Handler // bounds what it reads by itself
	api     http.Handler // bounds what it reads by itself
	people  http.Handler // for who comes with a browser; nil for nobody
	metrics prometheus.Gatherer
	ready   func() error // why the controller is not ready, or nil
	nats    string       // address of NATS' WebSocket; empty for none
	// visitors are those who go there. Required with nats.
	visitors *visitors
	// insiders are the networks that see what goes on here.
	insiders []netip.Prefix
	// proxies say truly from whom they had a request.
	proxies []netip.Prefix
}

// handler serves p.
func (p pages) handler(log *slog.Logger) http.Handler {
	m := http.NewServeMux()
	m.Handle("GET /cache/", http.StripPrefix("/cache", p.cache)) // sees to slow clients by itself
	m.Handle(proto.EnrollPath, p.enrol)
	p.health(m)
	if p.people != nil {
		m.Handle("/", p.people)
	}
	if p.nats != "" {
		m.Handle("GET "+natsPath, natsProxy(p.nats, p.visitors, log))
	}
	all := http.NewServeMux()
	all.Handle(proto.APIPath, p.api)
	all.Handle(hook.Path, p.hooks)
	all.Handle("/", http.MaxBytesHandler(m, maxBody))
	return forwarded.Believing(p.proxies, all)
}

// health serves what says how the controller is.
func (p pages) health(m *http.ServeMux) {
	m.Handle("GET /metrics", p.inside(promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{})))
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	m.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		err := p.ready()
		if err != nil && !p.insider(r) {
			err = errNotReady
		}
		answer(w, err)
	})
}

// errNotReady is all that strangers are told.
var errNotReady = errors.New("not ready")

// inside serves h to insiders. For others there is nothing.
func (p pages) inside(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.insider(r) {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// insider reports whether a request came from an insider's address. A request
// that another proxy passed on has that proxy's, and is nobody's we know.
func (p pages) insider(r *http.Request) bool {
	if r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Via") != "" {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && slices.ContainsFunc(p.insiders, func(n netip.Prefix) bool { return n.Contains(from.Addr().Unmap()) })
}

// answer says ok, or why not.
func answer(w http.ResponseWriter, err error) {
	text := "ok\n"
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = err.Error() + "\n"
	}
	_, _ = io.WriteString(w, text) // the client may be gone
}

// httpServer is one that listens already.
type httpServer struct {
	listener net.Listener
	server   *http.Server
}

// listenWeb listens, with TLS unless there is none.
func listenWeb(ctx context.Context, address string, config *tls.Config, h http.Handler, log *slog.Logger) (*httpServer, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("http.listen: %w", err)
	}
	return newWeb(l, config, h, log), nil
}

func newWeb(l net.Listener, config *tls.Config, h http.Handler, log *slog.Logger) *httpServer {
	return &httpServer{listener: &door{Listener: l, open: map[string]int{}}, server: &http.Server{
		Handler:           h,
		TLSConfig:         config,
		ConnState:         settled,
		ReadHeaderTimeout: headerTimeout, // and TLS' handshake has as long
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// run serves until ctx ends, and then for as long as requests under way take, in
// bounds.
func (w *httpServer) run(ctx context.Context) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if err := w.server.Shutdown(ctx); err != nil {
			_ = w.server.Close() // cuts what would not end; there is nobody to tell
		}
	})
	err := w.serve()
	if stop() { // ended by itself
		return fmt.Errorf("serve HTTP: %w", err)
	}
	<-closed
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

func (w *httpServer) serve() error {
	if w.server.TLSConfig == nil {
		return w.server.Serve(w.listener)
	}
	return w.server.ServeTLS(w.listener, "", "")
}

// closed returns err, unless it says that something was closed already.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
