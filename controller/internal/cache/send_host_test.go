//go:build host

package cache

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"kedge/internal/nix"
)

// TestRealFurtherCaches copies with the real Nix into a directory, and to a server that
// takes PUT, and fetches from what arrived. What others pruned there arrives again.
func TestRealFurtherCaches(t *testing.T) {
	system, dir, served, state := realBuild(t), t.TempDir(), t.TempDir(), t.TempDir()
	files := http.FileServer(http.Dir(served))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			files.ServeHTTP(w, r)
			return
		}
		content, err := io.ReadAll(r.Body)
		file := filepath.Join(served, filepath.Clean(r.URL.Path))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(file), 0o755)
		}
		if err == nil {
			err = os.WriteFile(file, content, 0o644)
		}
		if err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	c, err := Open(Options{
		Nix: &nix.CLI{}, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-1",
		Push: []Target{{URL: "file://" + dir}, {URL: server.URL}}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	_, err = c.Push(t.Context(), system)
	must(t, err)
	for _, from := range []string{"file://" + dir, server.URL} {
		_, err = output(t, "nix", "--extra-experimental-features", "nix-command", "copy", "--from", from, "--to", t.TempDir(),
			"--option", "trusted-public-keys", c.PublicKey().String(), "--option", "require-sigs", "true", system.String())
		must(t, err)
	}
	for _, at := range []string{dir, served} {
		if _, err := os.Stat(filepath.Join(at, "closures", system.Base()+".txt")); err != nil {
			t.Error(err)
		}
	}
	for _, at := range []string{dir, served} {
		must(t, os.RemoveAll(filepath.Join(at, "nar")))
		must(t, os.Remove(filepath.Join(at, system.Hash()+narInfoSuffix)))
	}
	clear(c.sent)
	_, err = c.Push(t.Context(), system)
	must(t, err)
	for _, at := range []string{dir, served} {
		if _, err := os.Stat(filepath.Join(at, system.Hash()+narInfoSuffix)); err != nil {
			t.Errorf("what was pruned by others is not there again: %v", err)
		}
	}
}
