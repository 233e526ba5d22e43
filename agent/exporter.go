package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// An Exporter serves metrics over HTTP, at /metrics.
type Exporter struct {
	server *http.Server
	done   chan struct{}
}

// exporterTimeout bounds everything that a scraper may take.
const exporterTimeout = 10 * time.Second

// Export serves g at listen (host:port, or unix: and the path of a socket, which
// everybody may ask) until Close. With an empty listen it serves nothing. It fails if
// it cannot listen.
func Export(listen string, g prometheus.Gatherer) (*Exporter, error) {
	e := &Exporter{done: make(chan struct{})}
	if listen == "" {
		close(e.done)
		return e, nil
	}
	l, err := listenAt(listen)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	e.server = newExporter(g)
	go func() {
		defer close(e.done)
		_ = e.server.Serve(l) // returns when Close closes l; scrapes fail visibly if it returns earlier
	}()
	return e, nil
}

// newExporter returns what serves g, to nobody for long who is slow.
func newExporter(g prometheus.Gatherer) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	return &http.Server{
		Handler:      mux,
		ReadTimeout:  exporterTimeout, // of headers, and of a body that nobody asked for
		WriteTimeout: exporterTimeout,
		IdleTimeout:  exporterTimeout,
	}
}

// listenAt listens as [Export] says. A socket takes the place of one that an agent left that
// was killed.
func listenAt(listen string) (net.Listener, error) {
	path, isSocket := strings.CutPrefix(listen, unixPrefix)
	if !isSocket {
		return net.Listen("tcp", listen)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // as everybody may who can connect to a port of this host
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close ends the serving and what is being served, and waits for the end.
func (e *Exporter) Close() {
	if e.server != nil {
		_ = e.server.Close() // the process ends; nothing is written through it
	}
	<-e.done
}
