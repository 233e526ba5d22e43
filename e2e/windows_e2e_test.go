//go:build e2e

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// beforeBorder is how long hosts have for what they do before a window opens or closes,
// at least.
const beforeBorder = 30 * time.Second

// TestRolloutWindows: at one full minute the window of a channel opens, and that of
// another one closes. Who waits goes by itself; a wave that is under way is finished, and
// the one after it waits until tomorrow.
func TestRolloutWindows(t *testing.T) {
	t.Parallel()
	f := up(t, "web1", "web2", "web3", "db1")
	web1, web2, web3, db1 := f.Host("web1"), f.Host("web2"), f.Host("web3"), f.Host("db1")
	before := commitOnly(t, f, "before")
	pushTo(t, f, "main")
	pushTo(t, f, "db")
	sourcesOf(t, f)(t, followed("main", "web*"), followed("db", "db*"))
	for _, h := range f.Hosts() {
		h.MustAwaitPhase(t, before, proto.PhaseCommitted)
	}

	border := time.Now().UTC().Add(beforeBorder + time.Minute).Truncate(time.Minute)
	web1.MustRun(t, "touch", heldFile)
	closes := pushIn(t, f, "main", "closes", map[string]any{
		"windows": window(border.Add(-time.Hour), border),
		"waves": []map[string]any{
			{"name": "web", "hosts": "web1 or web2", "maxInFlight": 1},
			{"name": "late", "hosts": "web3"},
		},
	}, fleet.AddUnit("slow.service", toplevel.StartsWithout(heldFile)))
	opens := pushIn(t, f, "db", "opens", map[string]any{"windows": window(border, border.Add(time.Hour))})
	awaitStep(t, web1, closes, proto.PhaseActivating)
	requireShut(t, f, opens, "db", "db1", border)
	requirePublished(t, db1, before)

	db1.MustAwaitPhase(t, opens, proto.PhaseCommitted)
	requireOn(t, db1, "opens")
	requireNotBefore(t, db1, border)

	requirePublished(t, web2, before)
	web1.MustRun(t, "rm", heldFile)
	for _, h := range []*fleet.Host{web1, web2} {
		h.MustAwaitPhase(t, closes, proto.PhaseCommitted)
		requireOn(t, h, "closes")
	}
	requireNotBefore(t, web2, border)
	requireShut(t, f, closes, "main", "web3", border.Add(23*time.Hour))
	requirePublished(t, web3, before)
	requireOn(t, web3, "before")
}

// window is the only one of a rollout: from one minute to another.
func window(from, to time.Time) map[string]any {
	return map[string]any{"allow": []string{from.Format("15:04") + "-" + to.Format("15:04")}}
}

// followed returns the configuration of a channel with the branch of that name.
func followed(name, hosts string) string {
	return fmt.Sprintf("  %s:\n    url: %s\n    branch: %[1]s\n    poll: 24h\n    hosts: %[3]q\n", name, fleet.Repository, hosts)
}

// pushIn pushes to a branch what goes out as rollout says, with a change of all hosts.
func pushIn(t *testing.T, f *fleet.Fleet, branch, app string, rollout map[string]any, changes ...func(*toplevel.Host)) proto.Revision {
	t.Helper()
	rev, err := f.Commit(t.Context(), app, func(w *toplevel.Fleet) {
		w.Kedge = map[string]any{"rollout": rollout}
		for _, change := range append(changes, fleet.App(app)) {
			fleet.Edit(w, change)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	pushTo(t, f, branch)
	return rev
}

// requireShut waits until a host waits for its window, and fails unless that is known to
// open at an instant.
func requireShut(t *testing.T, f *fleet.Fleet, rev proto.Revision, channel, host string, opens time.Time) {
	t.Helper()
	var until time.Time
	awaitRollout(t, f, rev, host+" waiting for a window", func(r proto.RolloutShowReply) bool {
		for _, h := range r.Hosts {
			if h.Host.String() == host && h.Waits != nil && h.Waits.For == proto.ReasonOutsideWindow {
				until = h.Waits.Until
				return true
			}
		}
		return false
	})
	if !until.Equal(opens) {
		t.Errorf("%s waits until %s, want %s", host, until, opens)
	}
	requireSays(t, "`kedge rollout plan`", f.MustKedge(t, "rollout", "plan", channel), host, "no window is open")
}

// requireNotBefore fails if the host accepted what it runs before an instant.
func requireNotBefore(t *testing.T, h *fleet.Host, instant time.Time) {
	t.Helper()
	if accepted := mustRecord(t, h).Entered(proto.PhaseAccepted); accepted.Before(instant) {
		t.Errorf("%s: accepted it at %s, want not before %s", h.Name(), accepted, instant)
	}
}
