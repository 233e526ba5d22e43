package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
)

// TestNobodyIsOfflineWhoCouldNotBeHeard: nobody waits for hosts that are offline, so an
// outage of NATS would have a revision go to the whole fleet at once.
func TestNobodyIsOfflineWhoCouldNotBeHeard(t *testing.T) {
	now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	fleet := NewFleet(func() time.Time { return now })
	fleet.CaughtUp()
	r := newRunnerOf(fleet)
	r.now = fleet.now
	for h := range fleetOf(t, "a") {
		fleet.Heard(h, "", now)
	}
	now = now.Add(time.Hour)
	fleet.Sweep()
	r.heard = fleet.now // NATS is not there
	s, err := spec.Parse([]byte(canaryFirst), slices.Collect(maps.Keys(fleetOf(t, "a"))))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.begin(t.Context(), revision(t, "1"), s, fleetOf(t, "a"), nil); err != nil {
		t.Fatal(err)
	}
	r.mustHavePublished(t, "in an outage", "web1=a")
	back := now
	r.heard = func() time.Time { return back }
	now = now.Add(SilentAfter)
	r.mustLook(t)
	r.mustHavePublished(t, "while hosts come back")
	now = now.Add(time.Second)
	r.mustLook(t)
	if f := r.observe(); !f.Hosts[host(t, "web2")].Silent {
		t.Error("web2 is online, and has not been heard of since NATS came back")
	}
}

// TestNobodyElseGoesWhileTheFleetIsSilent: a network that is down is not a fleet that is
// off, and nobody may get something new at once when it is up again.
func TestNobodyElseGoesWhileTheFleetIsSilent(t *testing.T) {
	now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	fleet := NewFleet(func() time.Time { return now })
	fleet.CaughtUp()
	r := newRunnerOf(fleet)
	r.now = fleet.now
	web1, all := host(t, "web1"), map[proto.HostName]proto.StorePath{}
	for i := range 7 {
		h := host(t, fmt.Sprint("web", i))
		all[h] = storePath(t, "a")
		fleet.Heard(h, "", now)
	}
	s, err := spec.Parse([]byte(canaryFirst), slices.Collect(maps.Keys(all)))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.begin(t.Context(), revision(t, "1"), s, all, nil); err != nil {
		t.Fatal(err)
	}
	r.mustHavePublished(t, "first", "web1=a")
	now = now.Add(10 * time.Minute)
	fleet.Apply(status(web1, 1, proto.PhaseCommitted), now)
	fleet.Sweep()
	r.mustLook(t)
	r.mustHavePublished(t, "while the others are silent")
	w := fleet.Rollout("main").Hosts[1].Waits
	if w == nil || w.For != proto.ReasonFleetSilent || !strings.Contains(w.Message, "6 of 7") {
		t.Errorf("the second host waits for %+v, want a fleet that can be heard", w)
	}
	for h := range all {
		fleet.Heard(h, "", now)
	}
	r.mustLook(t)
	if got := r.publisher.did(); len(got) != len(all)-1 {
		t.Errorf("published %v once they were back, want all the others", got)
	}
}

// TestNobodyIsOffWhomOnlyTheServerForgot: when NATS has lost what hosts had said, a controller
// that starts has heard of none of them, and they need a while to say it again.
func TestNobodyIsOffWhomOnlyTheServerForgot(t *testing.T) {
	now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	all := map[proto.HostName]proto.StorePath{}
	for i := range 7 {
		all[host(t, fmt.Sprint("web", i))] = storePath(t, "b")
	}
	lead := func(hosts ...proto.HostView) runnerTest {
		fleet := NewFleet(clock)
		fleet.CaughtUp() // nobody had said anything
		for h := range all {
			fleet.Want(h, proto.Target{Serial: 1, Toplevel: storePath(t, "a")})
		}
		for _, v := range hosts {
			fleet.Want(v.Host, v.Want)
		}
		r := newRunnerOf(fleet)
		r.now = clock
		return r
	}
	before := lead()
	hear := func(r runnerTest, but ...string) {
		for h := range all {
			if !slices.Contains(but, h.String()) {
				r.fleet.Heard(h, "", now)
			}
		}
	}
	hear(before)
	s, err := spec.Parse([]byte(`{"rollout": {"waves": [{"name": "web", "hosts": "web*", "canary": {"hosts": "web1"}}]}}`), slices.Collect(maps.Keys(all)))
	if err != nil {
		t.Fatal(err)
	}
	if err := before.begin(t.Context(), revision(t, "2"), s, all, nil); err != nil {
		t.Fatal(err)
	}
	before.mustHavePublished(t, "the canary", "web1=b")

	now = now.Add(time.Minute)
	r := lead(before.fleet.View().Hosts...)
	r.resume(before.saver.saved, nil)
	r.mustLook(t)
	r.mustHavePublished(t, "before anybody could say something")
	now = now.Add(SilentAfter + time.Second)
	r.fleet.Sweep()
	r.mustLook(t)
	r.mustHavePublished(t, "while nobody says something, though they could when it began")
	if w := waitOfHost(r, host(t, "web2")); w == nil || w.For != proto.ReasonFleetSilent {
		t.Errorf("web2 waits for %+v, want a fleet that can be heard", w)
	}
	if p := r.current().Hosts[host(t, "web1")]; p.State != rollout.Published {
		t.Errorf("web1 is %s, want it waited for: it was there when it was published to", p.State)
	}
	hear(r, "web6")
	r.fleet.Apply(status(host(t, "web1"), 2, proto.PhaseCommitted), now)
	r.mustLook(t)
	r.mustHavePublished(t, "when they are back", "web0=b", "web2=b", "web3=b", "web4=b", "web5=b", "web6=b")
	for _, h := range []string{"web0", "web2", "web3", "web4", "web5"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.mustBe(t, "without web6, which is off", rollout.Done)
}

// waitOfHost returns what a host waits for.
func waitOfHost(r runnerTest, h proto.HostName) *proto.RolloutWait {
	v, _ := r.fleet.Host(h)
	return v.Host.Waits
}
