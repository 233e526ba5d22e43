//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// slowCache answers one request, on its standard input: as the controller's cache
// does, but that of an archive it sends headers, and then a byte a second, or
// nothing, or the rest once it is told to.
const slowCache = `#!/bin/sh
read -r method path _
while read -r line && test "${#line}" -gt 1; do :; done
case $path in
*/nar/*)
	curl --silent --output "/tmp/slowcache.$$" "http://127.0.0.1:8080$path"
	printf 'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' "$(wc -c <"/tmp/slowcache.$$")"
	if test -e /run/held; then
		exec 9<>/run/held
		echo >&9
		read -r _ </run/freed
		exec cat "/tmp/slowcache.$$"
	fi
	i=0
	while test -e /run/trickle && dd if="/tmp/slowcache.$$" bs=1 count=1 skip=$i; do
		i=$((i + 1))
		sleep 1
	done
	exec sleep 300
	;;
esac
test "$method" = HEAD && head=--head
exec curl --silent --include --http1.0 $head "http://127.0.0.1:8080$path"
`

// slowCacheUnits run it for every connection to port 8081.
func slowCacheUnits() map[string]string {
	return map[string]string{
		"/etc/systemd/system/slowcache.socket":   "[Socket]\nListenStream=8081\nAccept=yes\nMaxConnections=1000\n",
		"/etc/systemd/system/slowcache@.service": "[Service]\nExecStart=-/bin/sh /etc/slowcache\nStandardInput=socket\nStandardOutput=socket\nStandardError=null\n",
	}
}

// Firewall rules of the build host: at port 8082 is the same cache, for ever; and
// while it is slow, the slow one is in its place.
const (
	otherCacheRules = `table inet otherCache {
	chain in {
		type nat hook prerouting priority dstnat;
		tcp dport 8082 redirect to :8080
	}
}
`
	slowCacheRules = `table inet slowCache {
	chain in {
		type nat hook prerouting priority dstnat - 1;
		tcp dport 8080 redirect to :8081
	}
}
`
)

// TestTransactionCacheSlow: a cache that says nothing any more, or very little, is
// left for another one; a host that has none says so, and stays as it is.
func TestTransactionCacheSlow(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"one", "two"}, Plain: true}) // caches
	for name, text := range slowCacheUnits() {
		if err := f.Build().WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Build().WriteFile("/etc/slowcache", []byte(slowCache), 0o644); err != nil {
		t.Fatal(err)
	}
	f.MustRunOnBuild(t, "systemctl", "daemon-reload")
	f.MustRunOnBuild(t, "systemctl", "start", "slowcache.socket")
	firewall(t, f, otherCacheRules)
	commit(t, f, "before", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("before"))
		fleet.Edit(w, fleet.Config("caches: [", fmt.Sprintf("caches: [\"http://%s:8082/cache/\",", f.Build().Addr())), "two")
	})

	t.Run("nothing after the headers", func(t *testing.T) {
		requireOvercome(t, f, "stalled", func(w *toplevel.Fleet) {
			fleet.Edit(w, fleet.Config("log:\n", "fetch: {timeout: 10s}\nlog:\n")) // for what comes next
		})
	})
	t.Run("a byte a second", func(t *testing.T) {
		f.MustRunOnBuild(t, "touch", "/run/trickle")
		requireOvercome(t, f, "trickled", func(*toplevel.Fleet) {})
	})
	t.Run("pruned in the middle", func(t *testing.T) { requireKept(t, f) })
}

// requireKept has the cache pruned, of all that nobody needs, while a host is in the
// middle of an archive; the host commits.
func requireKept(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	one := f.Host("one")
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

// requireOvercome deploys the app version and the change while the cache is slow:
// a host with another one commits, one without when it is slow no more.
func requireOvercome(t *testing.T, f *fleet.Fleet, app string, change func(w *toplevel.Fleet)) {
	t.Helper()
	one, two := f.Host("one"), f.Host("two")
	before := one.MustFacts(t)
	firewall(t, f, slowCacheRules)
	rev := f.MustPush(t, app, func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App(app))
		change(w)
	})
	d := requireEnd(t, one, rev, proto.PhaseFailed, proto.ReasonCacheUnreachable)
	t.Logf("one: %s", d.Message)
	requireSame(t, one, before)
	two.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, two, app)

	firewall(t, f, "delete table inet slowCache\n")
	f.MustKedge(t, "reconcile", "one")
	one.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, one, app)
}

// firewall changes the rules of the build host.
func firewall(t *testing.T, f *fleet.Fleet, commands string) {
	t.Helper()
	if err := f.Build().Firewall(t.Context(), commands); err != nil {
		t.Fatal(err)
	}
}
