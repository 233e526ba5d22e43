package agent_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent"
)

// A pipes is a listener in a bubble of synctest.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { close(p); return nil }

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestWhoAsksForMetricsSlowlyIsCutOff: whoever sends a byte now and then.
func TestWhoAsksForMetricsSlowlyIsCutOff(t *testing.T) {
	const slack = 2 * time.Second
	registry, _ := counter(t)
	for name, tt := range map[string]struct{ says, drips string }{
		"nothing":                 {"", ""},
		"half a header":           {"GET /metrics HTTP/1.1\r\nX: ", "x"},
		"half a body":             {"POST /metrics HTTP/1.1\r\nHost: web1\r\nContent-Length: 60000\r\n\r\n", "x"},
		"nothing after a request": {"GET /metrics HTTP/1.1\r\nHost: web1\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := make(pipes)
				s := agent.NewExporter(registry)
				served := make(chan error, 1)
				go func() { served <- s.Serve(l) }()
				ours, theirs := net.Pipe()
				l <- theirs
				began := time.Now()
				dripped := make(chan struct{})
				go func() {
					defer close(dripped)
					_, err := io.WriteString(ours, tt.says)
					for err == nil && tt.drips != "" {
						time.Sleep(time.Second)
						_, err = io.WriteString(ours, tt.drips)
					}
				}()
				_, _ = io.Copy(io.Discard, ours) // until the agent hangs up
				if took := time.Since(began); took > agent.ExporterTimeout+slack {
					t.Errorf("it had %s, want %s", took, agent.ExporterTimeout)
				}
				_ = ours.Close()
				<-dripped
				_ = s.Close()
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
		})
	}
}
