package controller_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

func TestAControllerWhoseNATSStoresNothingIsNotReady(t *testing.T) {
	c := start(t)
	if code, text := c.readyz(t); code != http.StatusOK {
		t.Fatalf("readyz = %d %q before anything happened", code, text)
	}
	c.stop(t)
	streams, err := filepath.Glob(filepath.Join(c.stateDir, "nats", "jetstream", "*", "streams", proto.StreamDesired))
	if err != nil || len(streams) != 1 {
		t.Fatalf("streams = %v, %v; want one", streams, err)
	}
	block := filepath.Join(streams[0], "msgs", "1.blk")
	if err := errors.Join(os.Remove(block), os.Symlink("/dev/full", block)); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	defer c.giveUp(t)
	fleet := c.fleet(t)
	code, text := http.StatusOK, ""
	for range 100 { // a full disk gives no answer, and a slow one none in time
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := fleet.PutDesired(ctx, hostName(t, "web1"), []byte("x"), 0)
		cancel()
		if code, text = c.readyz(t); err == nil || code != http.StatusOK {
			break
		}
	}
	if code != http.StatusServiceUnavailable || !strings.Contains(text, proto.BucketDesired) {
		t.Errorf("readyz = %d %q, want %d and the name of the bucket", code, text, http.StatusServiceUnavailable)
	}
}

// giveUp stops a controller that may have ended by itself to be started again, because its NATS
// stores nothing: that is so for some time before it does.
func (c *controllerTest) giveUp(t *testing.T) {
	t.Helper()
	c.conn.Close()
	if err := c.Stop(); err != nil && !strings.Contains(err.Error(), "has to be started again") {
		t.Errorf("the controller ended with %v", err)
	}
	c.Running = nil
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
