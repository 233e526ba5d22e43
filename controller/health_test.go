package controller_test

import (
	"context"
	"io"
	"net/http"
	"os/signal"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kedge/proto"
)

func TestAControllerWhoseNATSStoresNothingIsNotReady(t *testing.T) {
	c := start(t)
	if code, text := c.readyz(t); code != http.StatusOK {
		t.Fatalf("readyz = %d %q before anything happened", code, text)
	}
	fleet := c.fleet(t)
	signal.Ignore(unix.SIGXFSZ) // so that writes fail, not the process
	defer signal.Reset(unix.SIGXFSZ)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	for range 10 { // a full disk gives no answer, and a slow one none in time
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := fleet.PutDesired(ctx, hostName(t, "web1"), []byte("x"), 0)
		cancel()
		if code, _ := c.readyz(t); err == nil || code != http.StatusOK {
			break
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if code, text := c.readyz(t); code != http.StatusServiceUnavailable || !strings.Contains(text, proto.BucketDesired) {
		t.Errorf("readyz = %d %q, want %d and the name of the bucket", code, text, http.StatusServiceUnavailable)
	}
}

// readyz returns what a monitor sees.
func (c *controllerTest) readyz(t *testing.T) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.HTTPAddress()+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
