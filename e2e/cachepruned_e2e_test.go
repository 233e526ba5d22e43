//go:build e2e

package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestGitOpsCachePruned: the cache is pruned, of all that nobody needs, while a host is
// in the middle of an archive; the host commits.
func TestGitOpsCachePruned(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"one"}, Plain: true})
	one := f.Host("one")
	startSlowCache(t, f)
	stray := strayPath(t, f)
	f.MustRunOnBuild(t, "mkfifo", "/run/held", "/run/freed")
	firewall(t, f, slowCacheRules)
	rev := f.MustPush(t, "kept", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("kept")) })
	f.MustRunOnBuild(t, "head", "--lines=1", "/run/held") // until an archive is asked for
	f.MustRunOnBuild(t, "find", fleet.CacheDir, "-type", "f", "-exec", "touch", "--date=3 days ago", "{}", "+")
	f.MustRunOnBuild(t, "sed", "--in-place", "s/^cache:$/&\\n  min_free: 1125899906842624/", controllerConfig) // 1 PiB
	f.MustRunOnBuild(t, "mv", fleet.Repository, "/srv/away.git")                                               // or it is pushed to the cache again
	f.MustRunOnBuild(t, "systemctl", "restart", "kedge-controller.service")
	awaitPruned(t, f)
	if _, err := f.NarInfo(stray); err == nil {
		t.Errorf("%s is in the cache, though nobody needs it", stray)
	}
	firewall(t, f, "delete table inet slowCache\n")
	f.MustRunOnBuild(t, "sh", "-c", "echo >/run/freed")
	one.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, one, "kept")
}

// strayPath puts a path into the cache that no host needs.
func strayPath(t *testing.T, f *fleet.Fleet) proto.StorePath {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "stray")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := f.AddToStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	f.MustRunOnBuild(t, "nix", "copy", "--to", "file://"+fleet.CacheDir, text)
	stray, err := proto.ParseStorePath(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.NarInfo(stray); err != nil {
		t.Fatal(err)
	}
	return stray
}

// awaitPruned waits until the controller, which has just started, has pruned its cache.
func awaitPruned(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		metrics, _ := f.Build().Run(ctx, "curl", "--silent", "http://127.0.0.1:8080/metrics") // it may not serve yet
		if strings.Contains(metrics, `kedge_controller_cache_prunes_total{result="succeeded"} 1`) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("wait until the cache is pruned: %s", metrics)
		}
	}
}
