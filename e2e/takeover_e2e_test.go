//go:build e2e

package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// buildFIFO is what the build of a system waits for, on the build host.
const buildFIFO = "/srv/building"

// TestRolloutTakeover: a controller that was alone gets a second one beside it, with NATS
// on its own; the one that leads is killed at every step of a revision and in every act of
// an operator. Each time the other one goes on, and the killed one stands by. Hosts are
// told everything once.
func TestRolloutTakeover(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"web1", "web2"}, Plain: true})
	web1, web2 := f.Host("web1"), f.Host("web2")
	alone := commit(t, f, "alone", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("alone")) })
	before := map[string]proto.Serial{}
	for _, h := range f.Hosts() {
		before[h.Name()] = requirePublished(t, h, alone).Serial
		h.MustRun(t, "touch", heldFile)
	}
	c := newControllers(t, f)
	rev := commitHeldUp(t, f)
	tree, blob := inRepository(t, f, rev.String()+"^{tree}"), inRepository(t, f, rev.String()+":hosts.json")
	for _, fifo := range []string{tree, blob, buildFIFO} {
		makeFIFO(t, f, fifo)
	}
	f.MustRunOnBuild(t, "git", "-C", fleet.Repository, "update-ref", "refs/heads/main", rev.String()) // as a push does at its end

	c.mustLoseAt(t, "as it has seen the push", tree)
	c.mustLoseAt(t, "while it evaluates", blob)
	first, second := cached(t, f, c.standby), cached(t, f, c.leads)
	makeFIFO(t, f, first)
	makeFIFO(t, f, second)
	c.mustLoseAt(t, "while it builds", buildFIFO)
	c.mustLoseAt(t, "while it copies into the cache", first)

	c.mustGoOn(t, second)
	web1.MustAwaitRecord(t, "the revision", func(r fleet.Record) bool { return r.Revision == rev })
	c.mustLoseNow(t, "as the first wave is told")
	awaitStep(t, web1, rev, proto.PhaseActivating)
	c.mustLoseNow(t, "while the canary activates")
	web1.MustRun(t, "rm", heldFile)
	awaitStep(t, web1, rev, proto.PhaseProbation)
	c.mustLoseNow(t, "while the canary is on probation")
	web1.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireWaits(t, f, rev, "web2", proto.ReasonSoaking, "canary soaks")
	c.mustLoseNow(t, "while the canary soaks")
	requireWaits(t, f, rev, "web2", proto.ReasonSoaking, "canary soaks")

	is := func(ok func(proto.RolloutView) bool) func() bool {
		return func() bool { r, found := rolloutOf(t, f, rev); return found && ok(r.Rollout) }
	}
	c.mustLoseIn(t, is(func(r proto.RolloutView) bool { return r.State == proto.RolloutPaused }), "rollout", "pause", "--reason", "lunch")
	c.mustLoseIn(t, is(func(r proto.RolloutView) bool { return r.State == proto.RolloutRunning }), "rollout", "resume")
	requirePublished(t, web2, alone)
	c.mustLoseIn(t, is(func(r proto.RolloutView) bool { return !r.Waves[0].Ended.IsZero() }), "rollout", "promote")
	requireWaits(t, f, rev, "web2", proto.ReasonAwaitingApproval, "waits for an approval")
	c.mustLoseNow(t, "at the border of two waves")
	requireWaits(t, f, rev, "web2", proto.ReasonAwaitingApproval, "waits for an approval")
	requirePublished(t, web2, alone)
	f.MustKedge(t, "rollout", "promote")

	awaitStep(t, web2, rev, proto.PhaseActivating)
	c.mustLoseNow(t, "while the second wave goes")
	web2.MustRun(t, "rm", heldFile)
	awaitStep(t, web2, rev, proto.PhaseCommitted)
	c.mustLoseNow(t, "at the end")
	awaitRollout(t, f, rev, "done", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutDone })
	for _, h := range f.Hosts() {
		requireOn(t, h, "taken over")
		requireToldOnce(t, h, rev, before[h.Name()]+1)
	}

	c.mustLoseIn(t, is(func(r proto.RolloutView) bool {
		return r.State == proto.RolloutReverting || r.State == proto.RolloutReverted
	}), "rollout", "revert")
	awaitRollout(t, f, rev, "reverted", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutReverted })
	for _, h := range f.Hosts() {
		requireOn(t, h, "alone")
		requireToldOnce(t, h, alone, before[h.Name()]+2)
	}
}

// commitHeldUp commits a revision that goes out one host after the other, and can be held
// up on its way; the repository has it, but not on the branch that is followed.
func commitHeldUp(t *testing.T, f *fleet.Fleet) proto.Revision {
	t.Helper()
	rev, err := f.Commit(t.Context(), "taken over", func(w *toplevel.Fleet) {
		w.Kedge = map[string]any{
			"hosts": map[string]any{"web1": map[string]any{"tags": []string{"canary"}}},
			"rollout": map[string]any{"waves": []map[string]any{
				{"name": "canary", "hosts": "tag:canary", "soak": "1h"},
				{"name": "others", "hosts": "web2", "approval": true},
			}},
		}
		fleet.Edit(w, fleet.App("taken over"))
		fleet.Edit(w, fleet.AddUnit("slow.service", toplevel.StartsWithout(heldFile)))
		fleet.Edit(w, func(h *toplevel.Host) { h.BuildWaits = buildFIFO }, "web1")
		fleet.Edit(w, fleet.Config("grace: 1s", "grace: 10s"), "web1")
	})
	if err != nil {
		t.Fatal(err)
	}
	pushTo(t, f, "next")
	return rev
}

// inRepository returns the file of an object of the repository that the controllers look
// at.
func inRepository(t *testing.T, f *fleet.Fleet, object string) string {
	t.Helper()
	id := strings.TrimSpace(f.MustRunOnBuild(t, "git", "-C", fleet.Repository, "rev-parse", object))
	return filepath.Join(fleet.Repository, "objects", id[:2], id[2:])
}

// makeFIFO puts a FIFO in the place of a file, which is saved beside it, if there is one.
func makeFIFO(t *testing.T, f *fleet.Fleet, file string) {
	t.Helper()
	f.MustRunOnBuild(t, "sh", "-euc", `test ! -e "$0" || mv "$0" "$0.saved"; mkdir -p "${0%/*}"; mkfifo -m 666 "$0"`, file)
}

// cached returns the file in a controller's cache about the toplevel that web1 has in the
// commit in [fleet.Worktree], which is not built for that.
func cached(t *testing.T, f *fleet.Fleet, of controllerUnit) string {
	t.Helper()
	out := f.MustRunOnBuild(t, "nix", "eval", "--raw", "git+file://"+fleet.Worktree+"#nixosConfigurations.web1.config.system.build.toplevel.outPath")
	hash, _, _ := strings.Cut(filepath.Base(out), "-")
	return filepath.Join(of.state, "cache", hash+".narinfo")
}

// requireToldOnce fails unless a revision is what the host was told last, under that
// serial, and it alone was activated under that serial, once. A fetch may have been cut
// off before, by the end of the controller whose cache it was from.
func requireToldOnce(t *testing.T, h *fleet.Host, rev proto.Revision, serial proto.Serial) {
	t.Helper()
	if now := requirePublished(t, h, rev).Serial; now != serial {
		t.Errorf("%s: was told serial %s, want %s: nothing twice, and nothing skipped", h.Name(), now, serial)
	}
	end := h.MustAwaitEvent(t, "the commit", func(e proto.Event) bool { return e.Serial == serial && e.Phase == proto.PhaseCommitted })
	events, err := h.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Serial == serial && (e.Revision != rev || e.Phase == proto.PhaseActivating && e.Deployment != end.Deployment) {
			t.Errorf("%s: deployed %s under serial %s in %s, and there is %+v", h.Name(), rev.Short(), serial, end.Deployment, e)
		}
	}
}
