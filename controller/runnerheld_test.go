package controller

import (
	"testing"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// holding has a person hold hosts, and no others.
func (r runnerTest) holding(t *testing.T, names ...string) {
	t.Helper()
	held := map[proto.HostName]hold{}
	for _, name := range names {
		held[host(t, name)] = hold{Reason: "so", By: "ada"}
	}
	r.holds.what = heldBack{Hosts: held}
	r.mustLook(t)
}

// TestWhoIsHeldWhileOthersGoBackGoesBackOnceReleased, alone.
func TestWhoIsHeldWhileOthersGoBackGoesBackOnceReleased(t *testing.T) {
	r := newRunner()
	all := []string{"web1", "web2", "web3"}
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	for _, h := range all {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.deployAs(t, "2", "", fleetOf(t, "b"))
	for _, h := range all {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.publisher.published = nil
	r.holding(t, "web1", "web2")
	r.must(t, proto.RolloutActRevert, "")
	r.mustHavePublished(t, "back", "web3=a")
	r.says(t, "web3", proto.PhaseCommitted)
	r.mustBe(t, "without web1 and web2", rollout.Reverted)

	r.holding(t, "web2")
	r.mustHavePublished(t, "web1 is released", "web1=a")
	r.mustBe(t, "web1 goes back", rollout.Reverting)
	r = r.restarted()
	r.says(t, "web1", proto.PhaseCommitted)
	r.mustBe(t, "web1 is back", rollout.Reverted)
	r.deployAs(t, "2", "", fleetOf(t, "b"))
	r.holding(t)
	r.mustHavePublished(t, "web2 is released, too", "web2=a")
	r.deployAs(t, "3", canaryFirst, fleetOf(t, "c"))
	r.mustHavePublished(t, "the next revision", "web1=c")
}

// TestWhoIsHeldWhileOthersAreTriedAgainIsTriedOnceReleased, as docs/steering.md says under
// "When a rollout halted".
func TestWhoIsHeldWhileOthersAreTriedAgainIsTriedOnceReleased(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	for _, h := range []string{"web1", "web2", "web3"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.deployAs(t, "2", canaryFirst, fleetOf(t, "b"))
	r.says(t, "web1", proto.PhaseRolledBack)
	r.mustBe(t, "web1 failed", rollout.Halted)
	r.publisher.published = nil
	r.holding(t, "web1")
	r.must(t, proto.RolloutActRetry, "")
	r.mustHavePublished(t, "without web1", "web2=b", "web3=b")
	for _, h := range []string{"web2", "web3"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.mustBe(t, "without web1", rollout.Done)

	r = r.restarted()
	r.holding(t)
	r.mustHavePublished(t, "once it is released", "web1=b")
	r.says(t, "web1", proto.PhaseRolledBack)
	r.mustBe(t, "web1 failed again", rollout.Halted)
	r.must(t, proto.RolloutActRevert, "")
	r.mustHavePublished(t, "back", "web1=a")
}
