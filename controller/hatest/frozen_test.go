package hatest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// endPatience is how long a controller may take to end whose lease, which lasts 5 s, is
// lost. It would wait four times as long for a server that says nothing.
const endPatience = 20 * time.Second

// TestALeaderWhoseConnectionFreezesChangesNothingLate freezes the connection of the
// controller that leads, in one direction or both, while it publishes. Another one takes
// over, and publishes the same and what comes next. What the first one had sent arrives
// after that.
func TestALeaderWhoseConnectionFreezesChangesNothingLate(t *testing.T) {
	t.Parallel()
	for name, freeze := range map[string]func(*gate){
		"in both directions":         (*gate).shut,
		"so that it is not heard":    func(g *gate) { g.there.shut() },
		"so that it hears no answer": func(g *gate) { g.back.shut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, dirs := cluster(t)
			g := startGate(t)
			g.lead(url[len("nats://"):])
			a := startService(t, dirs[0], "nats://"+g.address())
			a.push("one")
			credentials := filepath.Join(dirs[0], "admin.creds")
			awaitFile(t, credentials)
			admin := connectTo(t, url, credentials)
			wanted(t, admin, 1, "one")
			copyKeys(t, dirs, url)
			b := startService(t, dirs[1], url)
			b.push("one")

			freeze(g)
			a.push("two")
			select {
			case code := <-a.ends:
				if code != 1 {
					t.Errorf("who lost the lease ended with exit code %d, want 1", code)
				}
			case <-time.After(endPatience):
				t.Errorf("who lost the lease is still there after %s", endPatience)
			}
			b.push("two")
			wanted(t, admin, 2, "two")
			b.push("three")
			wanted(t, admin, 3, "three")
			a.push("three")
			if n := a.leads(); n != 1 {
				t.Errorf("who was frozen took the lead %d times, want once, before", n)
			}
			g.thaw()
			b.push("four")
			wanted(t, admin, 4, "four")
			a.push("four")
			b.retire()
			a.push("five")
			wanted(t, admin, 5, "five")
			checkPublished(t, jet(t, url, dirs[0]), "one", "two", "three", "four", "five")
		})
	}
}

// TestAStandbyAsksAnotherServer freezes the connection of a standby that knows another way.
func TestAStandbyAsksAnotherServer(t *testing.T) {
	t.Parallel()
	url, dirs := cluster(t)
	a := startService(t, dirs[0], url)
	a.push("one")
	credentials := filepath.Join(dirs[0], "admin.creds")
	awaitFile(t, credentials)
	wanted(t, connectTo(t, url, credentials), 1, "one")
	copyKeys(t, dirs, url)
	ways := [2]*gate{startGate(t), startGate(t)}
	for _, g := range ways {
		g.lead(url[len("nats://"):])
	}
	startService(t, dirs[1], "nats://"+ways[0].address()+",nats://"+ways[1].address())
	awaitFile(t, filepath.Join(dirs[1], "desired", "web1.json"))
	awaitFile(t, filepath.Join(dirs[1], "rollouts", "main", "current.json"))
	if ways[0].used() {
		ways[0].shut()
	} else {
		ways[1].shut()
	}
	rollouts, err := filepath.Glob(filepath.Join(dirs[1], "rollouts", "main", "*"))
	if err != nil || len(rollouts) != 1 {
		t.Fatalf("rollouts on the standby: %v, %v", rollouts, err)
	}
	former, err := os.ReadFile(rollouts[0])
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(string(former), `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	a.push("two")
	awaitFile(t, filepath.Join(dirs[1], "rollouts", "main", id+".json")) // it is one of the past now
}
