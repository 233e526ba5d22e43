package controller

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// claimedBy has channels claim a host of [fleetOf], and main the two others.
func (r runnerTest) claimedBy(t *testing.T, name proto.HostName, channels ...string) {
	t.Helper()
	for _, channel := range []string{"main", "testing"} {
		var hosts []proto.HostName
		for h := range maps.Keys(fleetOf(t, "a")) {
			if h == name && slices.Contains(channels, channel) || h != name && channel == "main" {
				hosts = append(hosts, h)
			}
		}
		r.fleet.Claim(channel, hosts)
	}
}

// mustWait fails the test unless the rollout says of a host that it is held, and why, and
// the host itself says so only where it waits for that rollout.
func (r runnerTest) mustWait(t *testing.T, when string, name proto.HostName, why string, itself bool) {
	t.Helper()
	shown := r.fleet.Rollout("main").Hosts
	i := slices.IndexFunc(shown, func(h proto.RolloutHost) bool { return h.Host == name })
	if w := shown[i].Waits; w == nil || w.For != proto.ReasonHeld || !strings.Contains(w.Message, why) {
		t.Errorf("%s: in the rollout %s waits for %+v, want %q", when, name, w, why)
	}
	if w := waitOfHost(r, name); (w != nil) != itself || itself && !strings.Contains(w.Message, why) {
		t.Errorf("%s: %s waits for %+v; want it to wait for the rollout: %t", when, name, w, itself)
	}
}

// TestWhoeverAnotherChannelClaimsGetsNothing of a rollout that was to bring it something,
// is not waited for, and gets it after all when that claim ends.
func TestWhoeverAnotherChannelClaimsGetsNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		claims []string
		why    string
		itself bool
	}{
		"it moved":      {[]string{"testing"}, "follows the channel testing", false},
		"it is in both": {[]string{"main", "testing"}, "main and testing", true},
	} {
		t.Run(name, func(t *testing.T) {
			web3 := host(t, "web3")
			r := newRunner()
			r.claimedBy(t, web3, "main")
			r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
			r.must(t, proto.RolloutActPause, "")
			r.says(t, "web1", proto.PhaseCommitted)
			r.mustHavePublished(t, "the first wave", "web1=a")
			r.claimedBy(t, web3, tt.claims...)
			r.must(t, proto.RolloutActResume, "")
			r.mustHavePublished(t, "resumed", "web2=a")
			r.mustWait(t, "resumed", web3, tt.why, tt.itself)
			r.says(t, "web2", proto.PhaseCommitted)
			r.mustBe(t, "without web3", rollout.Done)
			r.mustWait(t, "in the end", web3, tt.why, tt.itself)
			r.claimedBy(t, web3, "main")
			r.mustLook(t)
			r.mustHavePublished(t, "when it is of the channel alone", "web3=a")
		})
	}
}

// TestWhoWasHeldAndMovedGetsNothingWhenReleased: it is late for nothing of a channel that it
// does not follow any more.
func TestWhoWasHeldAndMovedGetsNothingWhenReleased(t *testing.T) {
	web3 := host(t, "web3")
	for _, claims := range [][]string{{"testing"}, {"main", "testing"}} {
		r := newRunner()
		r.claimedBy(t, web3, "main")
		r.holds = &holds{what: heldBack{Hosts: map[proto.HostName]hold{web3: {}}}}
		r.deployAs(t, "1", "", fleetOf(t, "a"))
		r.says(t, "web1", proto.PhaseCommitted)
		r.says(t, "web2", proto.PhaseCommitted)
		r.mustBe(t, "without web3", rollout.Done)
		r.publisher.published = nil
		r.claimedBy(t, web3, claims...)
		r.holds = &holds{}
		r.mustLook(t)
		r.mustHavePublished(t, "released")
	}
}

// TestWhoeverAnotherChannelClaimsIsNotTakenBack by a rollout that is, and keeps what it has.
func TestWhoeverAnotherChannelClaimsIsNotTakenBack(t *testing.T) {
	web3 := host(t, "web3")
	for _, claims := range [][]string{{"testing"}, {"main", "testing"}} {
		r := newRunner()
		r.claimedBy(t, web3, "main")
		for _, rev := range []string{"a", "b"} {
			r.deployAs(t, rev, "", fleetOf(t, rev))
			for _, h := range []string{"web1", "web2", "web3"} {
				r.says(t, h, proto.PhaseCommitted)
			}
		}
		r.publisher.published = nil
		r.claimedBy(t, web3, claims...)
		r.must(t, proto.RolloutActRevert, "")
		r.mustHavePublished(t, "taken back", "web1=a", "web2=a")
		r.says(t, "web1", proto.PhaseCommitted)
		r.says(t, "web2", proto.PhaseCommitted)
		r.mustBe(t, "without web3", rollout.Reverted)
	}
}

// TestWhatAHostWaitsForIsOfItsChannel: a rollout that had it before does not say otherwise.
func TestWhatAHostWaitsForIsOfItsChannel(t *testing.T) {
	r := newRunner()
	web3 := host(t, "web3")
	show := func(channel string, reason proto.Reason) {
		s := proto.RolloutShowReply{Rollout: proto.RolloutView{ID: string(reason), Channel: channel}}
		s.Hosts = []proto.RolloutHost{{Host: web3, Waits: &proto.RolloutWait{For: reason}}}
		r.fleet.Rolled(s)
	}
	requireWait := func(when string, want proto.Reason) {
		t.Helper()
		if w := waitOfHost(r, web3); w == nil || w.For != want {
			t.Errorf("%s: it waits for %+v, want %s", when, w, want)
		}
	}
	r.claimedBy(t, web3, "main")
	r.fleet.Heard(web3, "", r.fleet.started)
	show("main", proto.ReasonPaused)
	requireWait("at first", proto.ReasonPaused)
	show("testing", proto.ReasonSoaking)
	requireWait("while another rollout has it, too", proto.ReasonPaused)
	r.claimedBy(t, web3, "testing")
	requireWait("when it moved", proto.ReasonSoaking)
	show("main", proto.ReasonHeld)
	requireWait("whatever comes of the first", proto.ReasonSoaking)
}
