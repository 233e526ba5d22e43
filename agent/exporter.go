package agent

import (
	"fmt"
	"net"
	"net/http"
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

// Export serves g at listen (host:port) until Close. With an empty listen it
// serves nothing. It fails if it cannot listen.
func Export(listen string, g prometheus.Gatherer) (*Exporter, error) {
	e := &Exporter{done: make(chan struct{})}
	if listen == "" {
		close(e.done)
		return e, nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	e.server = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: exporterTimeout,
		WriteTimeout:      exporterTimeout,
		IdleTimeout:       exporterTimeout,
	}
	go func() {
		defer close(e.done)
		_ = e.server.Serve(l) // returns when Close closes l; scrapes fail visibly if it returns earlier
	}()
	return e, nil
}

// Close ends the serving and what is being served, and waits for the end.
func (e *Exporter) Close() {
	if e.server != nil {
		_ = e.server.Close() // the process ends; nothing is written through it
	}
	<-e.done
}
