//go:build host

package cache

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kedge/internal/nix"
	"kedge/proto"
)

// TestRealFetchGoesOnWhileTheCacheIsPruned prunes between what Nix reads first, and
// the archives, when nobody needs any system any more.
func TestRealFetchGoesOnWhileTheCacheIsPruned(t *testing.T) {
	var passed time.Duration
	state := t.TempDir()
	c, err := Open(Options{
		Nix: &nix.CLI{}, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-1",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: func() time.Time { return time.Now().Add(passed) },
	})
	must(t, err)
	fetched, other := realBuild(t), realBuild(t)
	_, err = c.Push(t.Context(), fetched, other)
	must(t, err)
	passed = retention + time.Hour

	cached := c.Handler(nil)
	prune := sync.OnceValue(func() error {
		for _, short := range []bool{false, true} {
			if _, err := c.Prune(t.Context(), PruneOptions{Short: short}); err != nil {
				return err
			}
		}
		return nil
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/nar/") {
			if err := prune(); err != nil {
				t.Error(err)
			}
		}
		cached.ServeHTTP(w, r)
	}))
	defer server.Close()
	fetch := func(system proto.StorePath) error {
		_, err := output(t, "nix", "--extra-experimental-features", "nix-command", "copy", "--from", server.URL, "--to", t.TempDir(),
			"--option", "trusted-public-keys", c.PublicKey().String(), "--option", "require-sigs", "true", system.String())
		return err
	}
	if err := fetch(fetched); err != nil {
		t.Errorf("a fetch that had begun: %v", err)
	}
	if _, err := c.lookUp(other); err == nil {
		t.Error("nothing was pruned in the middle of the fetch")
	}
	_, err = c.Push(t.Context(), other)
	must(t, err)
	must(t, fetch(other))
}
