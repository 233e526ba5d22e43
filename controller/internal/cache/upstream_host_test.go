//go:build host

package cache

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"kedge/internal/nix"
	"kedge/proto"
)

// TestRealHostsFetchFromUpstreamWhatIsThere has the real Nix fetch a system of which a
// part is in another cache.
func TestRealHostsFetchFromUpstreamWhatIsThere(t *testing.T) {
	cli := &nix.CLI{}
	system := realBuild(t)
	closure, err := cli.Closure(t.Context(), system)
	must(t, err)
	var app proto.StorePath
	for _, p := range closure {
		if p.Path != system {
			app = p.Path
		}
	}
	up := openReal(t, cli)
	_, err = up.Push(t.Context(), app)
	must(t, err)
	var archives int
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/nar/") {
			archives++
		}
		up.Handler(nil).ServeHTTP(w, r)
	}))
	defer upstream.Close()

	state := t.TempDir()
	c, err := Open(Options{
		Nix: cli, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-2",
		Upstream: []string{upstream.URL}, Trusted: []proto.PublicKey{up.PublicKey()}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	closures, err := c.Push(t.Context(), system)
	must(t, err)
	if got, want := closures[system].Digest(), closure.Digest(); got != want {
		t.Errorf("digest of the closure: got %s, want %s", got, want)
	}
	if stored, err := filepath.Glob(filepath.Join(c.dir, "nar", "*")); err != nil || len(stored) != 1 {
		t.Errorf("stored %v, %v, want one archive", stored, err)
	}
	server := httptest.NewServer(c.Handler(nil))
	defer server.Close()
	_, err = output(t, "nix", "--extra-experimental-features", "nix-command", "copy", "--from", server.URL, "--to", t.TempDir(),
		"--option", "trusted-public-keys", c.PublicKey().String(), "--option", "require-sigs", "true", system.String())
	must(t, err)
	if archives != 1 {
		t.Errorf("%d archives were read from upstream, want 1", archives)
	}
}
