package hatest

import (
	"path/filepath"
	"testing"
)

// TestAClusterOfNATSLosesServers runs two controllers on three NATS servers. The one that
// leads the stream of the lease is killed, and then another one.
func TestAClusterOfNATSLosesServers(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dirs := [2]string{filepath.Join(base, "a"), filepath.Join(base, "b")}
	nats := startCluster(t, dirs[0])
	a := startService(t, dirs[0], nats.url(), memberReplicas+"=3")
	awaitFile(t, filepath.Join(dirs[0], "admin.creds"))
	admin := connectTo(t, nats.url(), filepath.Join(dirs[0], "admin.creds"))
	a.push("one")
	wanted(t, admin, 1, "one")
	js := jet(t, nats.url(), dirs[0])
	leads := nats.awaitWhole(t, js)
	copyKeys(t, dirs, nats.url())
	b := startService(t, dirs[1], nats.url(), memberReplicas+"=3")
	b.push("one")

	leads.kill()
	a.push("two")
	b.push("two")
	wanted(t, admin, 2, "two")
	checkPublished(t, js, "one", "two")
	leads.start(t)
	leads = nats.awaitWhole(t, js)
	nats.others(leads)[0].kill()
	a.push("three")
	b.push("three")
	wanted(t, admin, 3, "three")
	checkPublished(t, js, "one", "two", "three")
}

// TestTheSmallerSideOfAClusterWritesNothing cuts the NATS server that the leader knows
// off from the two others, which the standby knows: the leader stands down, the standby
// takes over, and what was pushed on the smaller side alone is published after that is
// healed.
func TestTheSmallerSideOfAClusterWritesNothing(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dirs := [2]string{filepath.Join(base, "a"), filepath.Join(base, "b")}
	nats := startCluster(t, dirs[0])
	lone, rest := nats[0], nats.others(nats[0])
	a := startService(t, dirs[0], natsCluster{lone}.url(), memberReplicas+"=3")
	awaitFile(t, filepath.Join(dirs[0], "admin.creds"))
	credentials := filepath.Join(dirs[0], "admin.creds")
	a.push("one")
	wanted(t, connectTo(t, nats.url(), credentials), 1, "one")
	js := jet(t, rest.url(), dirs[0])
	nats.awaitWhole(t, js)
	copyKeys(t, dirs, nats.url())
	b := startService(t, dirs[1], rest.url(), memberReplicas+"=3")
	b.push("one")

	nats.split(lone)
	if code := <-a.ends; code != 1 {
		t.Errorf("the leader on the smaller side ended with exit code %d, want 1", code)
	}
	b.push("two")
	a.push("two")
	a.push("three") // b does not know it
	admin := connectTo(t, rest.url(), credentials)
	wanted(t, admin, 2, "two")
	checkPublished(t, js, "one", "two")
	if lines := a.leads(); lines != 1 {
		t.Errorf("the controller on the smaller side took the lead %d times, want once, before", lines)
	}

	nats.heal(lone)
	nats.awaitWhole(t, js)
	b.retire()
	wanted(t, admin, 3, "three")
	checkPublished(t, js, "one", "two", "three")
}
