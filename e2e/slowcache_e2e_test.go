//go:build e2e

package e2e_test

import (
	"fmt"
	"testing"

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
	startSlowCache(t, f)
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
}

// startSlowCache starts it beside the controller's, where nobody is led to it yet.
func startSlowCache(t *testing.T, f *fleet.Fleet) {
	t.Helper()
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
