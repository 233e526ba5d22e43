package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of HTTP. A slow client must not hold a connection for ever, and one
// large file over a thin line must get through: fetches resume where they ended.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 30 * time.Second
	answerTimeout  = time.Hour
	idleTimeout    = 2 * time.Minute
	maxHeader      = 16 << 10
	closeTimeout   = 5 * time.Second
)

// mux serves everything that the controller says over HTTP. ready returns why
// the controller is not ready, or nil.
func mux(cache http.Handler, metrics prometheus.Gatherer, ready func() error) http.Handler {
	m := http.NewServeMux()
	m.Handle("GET /cache/", http.StripPrefix("/cache", cache))
	m.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	m.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, ready()) })
	return m
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

// web is an HTTP server that listens already.
type web struct {
	listener net.Listener
	server   *http.Server
}

func listenWeb(ctx context.Context, address string, h http.Handler, log *slog.Logger) (*web, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("http.listen: %w", err)
	}
	return &web{listener: l, server: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}, nil
}

// run serves until ctx ends, and then for as long as requests under way take, in
// bounds.
func (w *web) run(ctx context.Context) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if err := w.server.Shutdown(ctx); err != nil {
			_ = w.server.Close() // cuts what would not end; there is nobody to tell
		}
	})
	err := w.server.Serve(w.listener)
	if stop() { // ended by itself
		return fmt.Errorf("serve HTTP: %w", err)
	}
	<-closed
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

// closed returns err, unless it says that something was closed already.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
