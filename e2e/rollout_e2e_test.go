//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// waves returns a flake's output kedge: web1, then web2, then db1, and nobody may fail. Each change adds to what it
// says of the rollout.
func waves(changes ...map[string]any) map[string]any {
	rollout := map[string]any{
		"waves": []map[string]any{
			{"name": "canary", "hosts": "tag:canary"},
			{"name": "web", "hosts": "web* and not tag:canary"},
			{"name": "db", "hosts": "db*"},
		},
		"budget": map[string]any{"failed": 0},
	}
	for _, change := range changes {
		maps.Copy(rollout, change)
	}
	return map[string]any{"hosts": map[string]any{"web1": map[string]any{"tags": []string{"canary"}}}, "rollout": rollout}
}

// inWaves is a change of [waves]: to others.
func inWaves(waves ...map[string]any) map[string]any { return map[string]any{"waves": waves} }

// withWave changes what a flake's output kedge says of its n-th wave.
func withWave(kedge map[string]any, n int, attribute string, value any) map[string]any {
	kedge["rollout"].(map[string]any)["waves"].([]map[string]any)[n][attribute] = value
	return kedge
}

// heldFile is what the start of a unit waits for the end of, on a host.
const heldFile = "/run/held"

// TestRollout: revisions go out wave by wave, stop themselves, and are steered, on a fleet that is real.
func TestRollout(t *testing.T) {
	t.Parallel()
	f := up(t, "web1", "web2", "db1")
	web1, web2, db1 := f.Host("web1"), f.Host("web2"), f.Host("db1")
	release := func(text string, kedge map[string]any, more ...func(*toplevel.Host)) proto.Revision {
		t.Helper()
		return f.MustPush(t, text, func(w *toplevel.Fleet) {
			w.Kedge = kedge
			fleet.Edit(w, func(h *toplevel.Host) {
				delete(h.Units, "broken.service")
				delete(h.Units, "slow.service")
			})
			for _, change := range append(more, fleet.App(text)) {
				fleet.Edit(w, change)
			}
		})
	}

	guarded := withWave(withWave(waves(), 0, "soak", "1h"), 2, "approval", true)
	t.Run("one wave after the other, after a soak, and the last when somebody says so", func(t *testing.T) {
		rev := release("A", guarded)
		web1.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireWaits(t, f, rev, "web2", proto.ReasonSoaking, "canary soaks")
		f.MustKedge(t, "rollout", "promote")
		web2.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireWaits(t, f, rev, "db1", proto.ReasonAwaitingApproval, "waits for an approval")
		f.MustKedge(t, "rollout", "promote")
		db1.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireInTurn(t, f, rev)
		for _, h := range f.Hosts() {
			requireOn(t, h, "A")
		}
	})

	t.Run("a revert in git soaks for nobody", func(t *testing.T) {
		rev := release("slow", guarded)
		requireWaits(t, f, rev, "web2", proto.ReasonSoaking, "canary soaks")
		f.MustKedge(t, "rollout", "promote")
		web2.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		inWorktree(t, f, "revert", "--no-edit", "HEAD")
		back := pushHead(t, f)
		for _, h := range []*fleet.Host{web1, web2} {
			h.MustAwaitPhase(t, back, proto.PhaseCommitted)
		}
		requireInTurn(t, f, back)
		for _, h := range f.Hosts() {
			requireOn(t, h, "A")
		}
	})

	t.Run("a canary that fails halts it", func(t *testing.T) {
		before := map[string]fleet.Facts{}
		for _, h := range f.Hosts() {
			before[h.Name()] = h.MustFacts(t)
		}
		rev := release("bad", waves(), fleet.AddUnit("broken.service", toplevel.ExitsAtOnce("cannot open the frobnicator")))
		web1.MustAwaitPhase(t, rev, proto.PhaseRolledBack)
		r := awaitRollout(t, f, rev, "halted", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutHalted })
		requireSays(t, "why it halted", r.Rollout.Why, "web1")
		for _, h := range f.Hosts() {
			requireSame(t, h, before[h.Name()])
		}
		for _, h := range []*fleet.Host{web2, db1} {
			if v := h.MustAwaitView(t, "a view", func(v proto.HostView) bool { return v.Status != nil }); v.Want.Revision == rev {
				t.Errorf("%s was given the revision whose canary failed", h.Name())
			}
		}
	})

	t.Run("a pause outlives the controller", func(t *testing.T) {
		rev := release("B", guarded)
		web1.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireWaits(t, f, rev, "web2", proto.ReasonSoaking, "canary soaks")
		requireSays(t, "what changes on hosts, in `kedge rollout plan`", f.MustKedge(t, "rollout", "plan"), "KiB")
		f.MustKedge(t, "rollout", "pause", "--reason", "lunch")
		killController(t, f)
		r := awaitRollout(t, f, rev, "paused, still", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutPaused })
		requireSays(t, "why it is paused", r.Rollout.Why, "lunch")
	})

	t.Run("a newer revision takes over in the middle of a wave", func(t *testing.T) {
		web1.MustRun(t, "touch", heldFile)
		half := release("half", waves(inWaves(map[string]any{"name": "web", "hosts": "web*", "maxInFlight": 1})),
			fleet.AddUnit("slow.service", toplevel.StartsWithout(heldFile)))
		awaitStep(t, web1, half, proto.PhaseActivating)
		awaitRollout(t, f, half, "in the middle of a wave", func(r proto.RolloutShowReply) bool {
			w := r.Rollout.Waves[0]
			return !w.Started.IsZero() && w.Ended.IsZero() && w.Hosts == 2 && w.Published == 1 && w.Waiting == 1
		})
		next := release("C", waves())
		web1.MustAwaitView(t, "C while it is busy", func(v proto.HostView) bool {
			return v.Want.Revision == next && v.Status.Deployment.Revision == half && !v.Status.Deployment.Phase.Terminal()
		})
		web1.MustRun(t, "rm", heldFile)
		for _, h := range f.Hosts() {
			h.MustAwaitPhase(t, next, proto.PhaseCommitted)
			requireOn(t, h, "C")
		}
		r := awaitRollout(t, f, half, "superseded", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutSuperseded })
		if w := r.Rollout.Waves[0]; !w.Ended.IsZero() || w.Waiting != 1 {
			t.Errorf("it was superseded when its wave was %+v; want it in the middle", w)
		}
		requireNever(t, web2, half)
		requireNever(t, db1, half)
	})

	t.Run("who went gets back what it had", func(t *testing.T) {
		f.MustKedge(t, "rollout", "revert", "--reason", "C is slow")
		for name, had := range map[string]string{"web1": "B", "web2": "A", "db1": "A"} {
			awaitAnswer(t, f.Host(name), had)
		}
	})

	t.Run("nothing goes while no window is open, nor to a host that is held", func(t *testing.T) {
		held := db1.MustFacts(t)
		f.MustKedge(t, "rollout", "hold", "db1", "--reason", "being debugged")
		closed := time.Now().UTC().Add(2 * time.Hour)
		window := fmt.Sprintf("%02d:00-%02d:59", closed.Hour(), closed.Hour())
		rev := release("D", waves(map[string]any{"windows": map[string]any{"allow": []string{window}}}))
		requireWaits(t, f, rev, "web1", proto.ReasonOutsideWindow, "no window is open")
		open := release("E", waves(map[string]any{"windows": map[string]any{"allow": []string{window, "00:00-24:00"}}}))
		for _, h := range []*fleet.Host{web1, web2} {
			h.MustAwaitPhase(t, open, proto.PhaseCommitted)
			requireOn(t, h, "E")
		}
		requireSame(t, db1, held)
		f.MustKedge(t, "rollout", "release", "db1")
		db1.MustAwaitPhase(t, open, proto.PhaseCommitted)
		requireOn(t, db1, "E")
	})

	t.Run("a host that says nothing halts it", func(t *testing.T) {
		before := web2.MustFacts(t)
		web1.MustRun(t, "systemctl", "kill", "--signal=STOP", "kedge-agent.service")
		rev := release("F", waves(map[string]any{"silentAfter": "10s", "budget": map[string]any{"silent": 0}}))
		r := awaitRollout(t, f, rev, "halted", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutHalted })
		requireSays(t, "why it halted", r.Rollout.Why, "web1")
		requireSame(t, web2, before)
		web1.MustRun(t, "systemctl", "kill", "--signal=CONT", "kedge-agent.service")
		web1.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		f.MustKedge(t, "rollout", "retry")
		db1.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireOn(t, db1, "F")
	})

	t.Run("a host that is off for three revisions gets the last alone, and keeps nobody waiting", func(t *testing.T) {
		if err := db1.PowerCut(t.Context()); err != nil {
			t.Fatal(err)
		}
		var missed []proto.Revision
		for _, app := range []string{"G", "H"} {
			rev := release(app, waves())
			db1.MustAwaitView(t, "that it is to run "+app, func(v proto.HostView) bool { return v.Want.Revision == rev })
			requireOn(t, web1, app)
			requireOn(t, web2, app)
			missed = append(missed, rev)
		}
		first, others := map[string]any{"name": "db", "hosts": "db1"}, map[string]any{"name": "web", "hosts": "web*"}
		last := release("I", waves(inWaves(first, others), map[string]any{"silentAfter": "10s"}))
		awaitRollout(t, f, last, "done", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutDone })
		requireOn(t, web1, "I")
		requireOn(t, web2, "I")
		if err := db1.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		db1.MustAwaitPhase(t, last, proto.PhaseCommitted)
		requireOn(t, db1, "I")
		requireNever(t, db1, missed...)
	})
}

// pushHead pushes what git committed where the operator works.
func pushHead(t *testing.T, f *fleet.Fleet) proto.Revision {
	t.Helper()
	rev := head(t, f)
	if err := f.PushCommitted(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rev
}

// requireInTurn waits until a rollout is done, and fails unless each of its waves began
// after the one before.
func requireInTurn(t *testing.T, f *fleet.Fleet, rev proto.Revision) {
	t.Helper()
	r := awaitRollout(t, f, rev, "done", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutDone })
	for i, w := range r.Rollout.Waves[1:] {
		if before := r.Rollout.Waves[i]; w.Started.Before(before.Ended) || before.Ended.IsZero() {
			t.Errorf("wave %s began at %s, and %s ended at %s", w.Name, w.Started, before.Name, before.Ended)
		}
	}
}

// requireNever fails if something of one of the revisions has happened on the host.
func requireNever(t *testing.T, h *fleet.Host, revisions ...proto.Revision) {
	t.Helper()
	events, err := h.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if slices.Contains(revisions, e.Revision) {
			t.Errorf("%s: deployed what was overtaken before its turn came: %+v", h.Name(), e)
		}
	}
}

// awaitRollout waits until the rollout of a revision is as ok says.
func awaitRollout(t *testing.T, f *fleet.Fleet, rev proto.Revision, what string, ok func(proto.RolloutShowReply) bool) proto.RolloutShowReply {
	t.Helper()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	var last proto.RolloutShowReply
	for deadline := time.After(2 * time.Minute); ; {
		if r, found := rolloutOf(t, f, rev); found {
			if last = r; ok(r) {
				return r
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the rollout of %s is not %s: %+v", rev.Short(), what, last)
		}
	}
}

// rolloutOf returns the newest rollout of a revision, if there is one and the controller answers.
func rolloutOf(t *testing.T, f *fleet.Fleet, rev proto.Revision) (r proto.RolloutShowReply, found bool) {
	t.Helper()
	out, err := f.Kedge(t.Context(), "rollout", "list", "--json")
	if err != nil {
		return r, false // it was killed, and is not up again
	}
	var list proto.RolloutListReply
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.Rollouts, func(v proto.RolloutView) bool { return v.Revision == rev })
	if i < 0 {
		return r, false
	}
	if out, err = f.Kedge(t.Context(), "rollout", "show", list.Rollouts[i].ID, "--json"); err != nil {
		return r, false
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	return r, true
}

// requireWaits waits until a host waits for its turn for a reason, which people are told in words.
func requireWaits(t *testing.T, f *fleet.Fleet, rev proto.Revision, host string, reason proto.Reason, said string) {
	t.Helper()
	awaitRollout(t, f, rev, host+" waiting: "+string(reason), func(r proto.RolloutShowReply) bool {
		return slices.ContainsFunc(r.Hosts, func(h proto.RolloutHost) bool {
			return h.Host.String() == host && h.Waits != nil && h.Waits.For == reason
		})
	})
	requireSays(t, "`kedge rollout plan`", f.MustKedge(t, "rollout", "plan"), host, said)
}

// awaitAnswer waits until what the host runs answers text, and is committed.
func awaitAnswer(t *testing.T, h *fleet.Host, text string) {
	t.Helper()
	h.MustAwaitView(t, "a committed "+text, func(v proto.HostView) bool {
		return v.Status != nil && v.Status.Runs(v.Want.Toplevel) && v.Status.Serial == v.Want.Serial &&
			strings.Contains(h.MustRun(t, "curl", "--silent", "http://127.0.0.1:8090/"), text)
	})
	requireOn(t, h, text)
}
