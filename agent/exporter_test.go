package agent_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/agent"
)

// counter is a registry with one counter in it.
func counter(t *testing.T) (*prometheus.Registry, prometheus.Counter) {
	t.Helper()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "kedge_agent_test_total", Help: "Of this test."})
	registry := prometheus.NewRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	return registry, c
}

// TestExportAtASocket: metrics can be asked for at a socket, also in the place of one that was left behind.
func TestExportAtASocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "metrics.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	registry, c := counter(t)
	c.Inc()
	e, err := agent.Export("unix:"+socket, registry)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://agent/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), "kedge_agent_test_total 1\n") {
		t.Errorf("got %s, %v", text, err)
	}
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o666 {
		t.Errorf("its mode is %o, want that everybody may ask", got)
	}
	e.Close()
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
	if err := os.WriteFile(socket, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Export("unix:"+socket, registry); err == nil {
		t.Error("a file took the place of which was no socket: no error")
	}
}

// TestTextfile: the file says how things are, and is gone when nobody keeps it true.
func TestTextfile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "kedge.prom")
	synctest.Test(t, func(t *testing.T) {
		registry, c := counter(t)
		var log bytes.Buffer
		f := agent.ExportTextfile(t.Context(), file, registry, slog.New(slog.NewTextHandler(&log, nil)))
		synctest.Wait()
		requireText(t, file, "kedge_agent_test_total 0\n")
		c.Inc()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		requireText(t, file, "kedge_agent_test_total 1\n")

		// Where it cannot be written that is said once, and it is written when it can be.
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := strings.Count(log.String(), "metrics are not written"); got != 1 {
			t.Errorf("the log says %d times that it is not written, want once: %s", got, log.String())
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		c.Inc()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		requireText(t, file, "kedge_agent_test_total 2\n")

		f.Close()
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("it is still there: %v", err)
		}
	})
	registry, _ := counter(t)
	agent.ExportTextfile(t.Context(), "", registry, slog.New(slog.DiscardHandler)).Close() // without a file there is nothing to end
}

func requireText(t *testing.T, file, want string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%s has %q, %v; want %q in it", file, text, err, want)
	}
}

// TestMetricsConfig: where metrics are to be is looked at before the agent starts.
func TestMetricsConfig(t *testing.T) {
	for _, tt := range []struct{ listen, textfile, want string }{
		{"127.0.0.1:9417", "", ""},
		{"", "/var/lib/node/kedge.prom", ""},
		{"unix:/run/kedge/metrics.sock", "", ""},
		{"unix:metrics.sock", "", "metrics.listen: must be unix: and an absolute path"},
		{"unix:/" + strings.Repeat("x", 107), "", "metrics.listen: must be unix: and an absolute path of at most 107 bytes"},
		{"9417", "", "metrics.listen: must be host:port"},
		{"", "kedge.prom", "metrics.textfile: must be an absolute path that ends in .prom"},
		{"", "/var/lib/kedge.txt", "metrics.textfile: must be"},
	} {
		c := agent.DefaultConfig()
		c.Metrics = agent.MetricsConfig{Listen: tt.listen, Textfile: tt.textfile}
		text := c.Validate().Error() // there is more that is missing
		if got := strings.Contains(text, "metrics."); got != (tt.want != "") || !strings.Contains(text, tt.want) {
			t.Errorf("%+v: %s; want %q", c.Metrics, text, tt.want)
		}
	}
}

// TestFetchRateConfig: a rate at which nothing would ever arrive is a mistake.
func TestFetchRateConfig(t *testing.T) {
	for rate, wrong := range map[uint64]bool{0: false, 16 << 10: false, 5000: true} {
		c := agent.DefaultConfig()
		c.Fetch.MaxRate = rate
		if got := strings.Contains(c.Validate().Error(), "fetch.max_rate"); got != wrong {
			t.Errorf("%d bytes a second: refused is %t, want %t", rate, got, wrong)
		}
	}
}
