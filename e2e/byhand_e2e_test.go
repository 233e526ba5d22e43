//go:build e2e

package e2e_test

import (
	"slices"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestTransactionByHand: a person who switches a host by hand is never overruled in the
// middle of it, and always told of.
func TestTransactionByHand(t *testing.T) {
	t.Parallel()
	f := up(t, "idle", "meanwhile", "tester")
	idle, meanwhile, tester := f.Host("idle"), f.Host("meanwhile"), f.Host("tester")
	commit(t, f, "older", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("older")) })
	older := map[*fleet.Host]fleet.Facts{}
	for _, h := range f.Hosts() {
		older[h] = requireOn(t, h, "older")
	}
	const key = "next-1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
	commit(t, f, "newer", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("newer"))
		fleet.Edit(w, trustsToo("release_keys", key), "idle")
	})
	trusts := func(v proto.HostView) bool {
		return slices.ContainsFunc(v.Status.Trust.ReleaseKeys, func(k proto.KeyRef) bool { return k.Name == "next-1" })
	}
	idle.MustAwaitView(t, "the key that the newer configuration trusts", trusts)

	// While nothing is under way: what was registered on purpose is adopted.
	switchByHand(t, idle, older[idle].Current)
	f.MustKedge(t, "reconcile", "idle")
	awaitAdopted(t, idle, older[idle].Current)
	awaitReason(t, idle, proto.ConditionReady, proto.StatusFalse, proto.ReasonDrifted)
	requireOn(t, idle, "older")
	// Its agent starts again with what it is now to trust.
	idle.MustAwaitView(t, "the keys that the older configuration trusts", func(v proto.HostView) bool { return !trusts(v) })

	// Only to try it: nothing is adopted, and nothing deployed.
	newer := requireOn(t, tester, "newer")
	tester.MustRun(t, older[tester].Current+"/bin/switch-to-configuration", "test")
	f.MustKedge(t, "reconcile", "tester")
	awaitReason(t, tester, proto.ConditionReady, proto.StatusFalse, proto.ReasonNotProven)

	rev := f.MustPush(t, "newest", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("newest"))
		fleet.Edit(w, fleet.Config("grace: 1s", "grace: 10s"), "meanwhile")
	})

	// In the middle of a deployment: the deployment ends, and touches nothing.
	awaitStep(t, meanwhile, rev, proto.PhaseProbation)
	switchByHand(t, meanwhile, older[meanwhile].Current)
	requireEnd(t, meanwhile, rev, proto.PhaseSuperseded, proto.ReasonThirdParty)
	if f := requireOn(t, meanwhile, "older"); f.Current != older[meanwhile].Current {
		t.Errorf("meanwhile: runs %s, want what was switched to, %s", f.Current, older[meanwhile].Current)
	}
	awaitAdopted(t, meanwhile, older[meanwhile].Current)

	// The others go on from what was adopted, or wait for who tries something.
	idle.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, idle, "newest")
	v := tester.MustAwaitView(t, "the newest revision to be read and left", func(v proto.HostView) bool {
		return v.Want.Revision == rev && v.Status.Serial == v.Want.Serial && condition(v, proto.ConditionReady).Reason == proto.ReasonNotProven
	})
	if v.Status.Deployment.Revision == rev {
		t.Errorf("tester: began to deploy %+v although what runs is not proven", v.Status.Deployment)
	}
	if c := condition(v, proto.ConditionDrifted); c.Status != proto.StatusTrue {
		t.Errorf("tester: drift is not reported: %+v", c)
	}
	if got := tester.MustFacts(t); got.Current != older[tester].Current || got.Profile != newer.Profile || got.BootDefault != newer.BootDefault {
		t.Errorf("tester: %+v, want what is tried to run, and the rest as in %+v", got, newer)
	}
	tester.MustRun(t, newer.Current+"/bin/switch-to-configuration", "test")
	f.MustKedge(t, "reconcile", "tester")
	tester.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, tester, "newest")
}

// switchByHand does what `nixos-rebuild switch` does with a system that is
// there.
func switchByHand(t *testing.T, h *fleet.Host, system string) {
	t.Helper()
	h.MustRun(t, "nix-env", "--profile", "/nix/var/nix/profiles/system", "--set", system)
	h.MustRun(t, system+"/bin/switch-to-configuration", "switch")
}

// awaitAdopted waits until the host has told that it takes a system as proven.
func awaitAdopted(t *testing.T, h *fleet.Host, system string) {
	t.Helper()
	h.MustAwaitEvent(t, "adopting "+system, func(e proto.Event) bool {
		return e.Reason == proto.ReasonAdopted && e.Toplevel.String() == system
	})
}
