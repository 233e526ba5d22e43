//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestGitOpsBadRevision: what is wrong in a flake is said, of the host whose fault it
// is, and holds up no other; what was published before stays as it was.
func TestGitOpsBadRevision(t *testing.T) {
	t.Parallel()
	f := up(t, "web1", "web2", "db1", "db2")
	good := commit(t, f, "good", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("good")) })
	before := map[string]fleet.Facts{}
	published := map[string]proto.Target{}
	for _, h := range f.Hosts() {
		before[h.Name()] = requireOn(t, h, "good")
		published[h.Name()] = requirePublished(t, h, good)
	}

	bad := f.MustPush(t, "one host is good", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("one host is good"))
		w.Hosts["Bad_Name"] = w.Hosts["db2"]
		fleet.Edit(w, func(h *toplevel.Host) { h.EvalError = "nobody set the frobnicator" }, "web1")
		fleet.Edit(w, func(h *toplevel.Host) { h.BuildError = "cannot compile the frobnicator" }, "web2")
		fleet.Edit(w, func(h *toplevel.Host) { h.NotASystem = true }, "db1")
	})
	f.Host("db2").MustAwaitPhase(t, bad, proto.PhaseCommitted)
	requireOn(t, f.Host("db2"), "one host is good")
	for name, want := range map[string]struct {
		reason proto.Reason
		says   string
	}{
		"web1": {proto.ReasonEvalFailed, "nobody set the frobnicator"},
		"web2": {proto.ReasonBuildFailed, "cannot compile the frobnicator"},
		"db1":  {proto.ReasonNotAToplevel, "is not a NixOS toplevel: it lacks bin/switch-to-configuration"},
	} {
		h := f.Host(name)
		v := h.MustAwaitView(t, "a problem", func(v proto.HostView) bool { return v.Problem != nil })
		if v.Problem.Reason != want.reason || v.Problem.Revision != bad {
			t.Errorf("%s: problem is %+v, want reason %q of revision %s", name, *v.Problem, want.reason, bad)
		}
		requireSays(t, "`kedge status "+name+"`", f.MustKedge(t, "status", name), want.says, string(want.reason))
		if v.Want != published[name] {
			t.Errorf("%s: %+v is published, want %+v as before", name, v.Want, published[name])
		}
		requireSame(t, h, before[name])
	}
	said := awaitSourceProblem(t, f, proto.ReasonBadHostName)
	requireSays(t, "the source's error", said, "Bad_Name", "web1", "web2", "db1")
	if strings.Contains(said, "db2") {
		t.Errorf("the source's error names db2, which was published: %s", said)
	}
	requireSays(t, "`kedge status`", f.MustKedge(t, "status"), "not published: eval-failed", "not published: build-failed")
	requireSays(t, "the controller's metrics", controllerMetrics(t, f), `kedge_controller_hosts_problem{reason="eval-failed"} 1`,
		`kedge_controller_hosts_problem{reason="build-failed"} 1`, `kedge_controller_hosts_problem{reason="not-a-toplevel"} 1`)

	published["db2"], before["db2"] = requirePublished(t, f.Host("db2"), bad), f.Host("db2").MustFacts(t)
	f.MustPush(t, "no configurations", func(w *toplevel.Fleet) {
		delete(w.Hosts, "Bad_Name")
		w.NoConfigurations = true
	})
	requireSays(t, "the source's error", awaitSourceProblem(t, f, proto.ReasonNoConfigurations), "nixosConfigurations")
	f.MustPush(t, "a wrong output", func(w *toplevel.Fleet) {
		w.NoConfigurations = false
		w.Kedge = wrongOutput()
	})
	requireSays(t, "the source's error", awaitSourceProblem(t, f, proto.ReasonBadSpec), `did you mean "rollout"?`, "kedge.hosts.web9",
		`kedge.rollout.waves[0].hosts: no host is called "mail*"`, `did you mean "canary"?`, "never opens: deny has all of it")
	f.MustRunOnBuild(t, "sed", "--in-place", "s/outputs =/outputs = nobody knows;/", fleet.Worktree+"/flake.nix")
	pushWorktree(t, f, "does not evaluate")
	requireSays(t, "the source's error", awaitSourceProblem(t, f, proto.ReasonEvalFailed), "flake.nix", "nobody")
	f.MustRunOnBuild(t, "git", "-C", fleet.Worktree, "rm", "--quiet", "flake.nix")
	pushWorktree(t, f, "no flake")
	requireSays(t, "the source's error", awaitSourceProblem(t, f, proto.ReasonNoFlake), "flake.nix")
	const absent = "/nix/store/00000000000000000000000000000000-absent"
	_, err := f.Kedge(t.Context(), "publish", "web1="+absent)
	code, stderr := exitCode(t, err)
	if code != 1 {
		t.Errorf("`kedge publish` of what exists nowhere ended with %d, want 1", code)
	}
	requireSays(t, "`kedge publish`", stderr, "web1", absent, "nothing was published")
	for _, h := range f.Hosts() {
		if v, err := h.View(t.Context()); err != nil || v.Want != published[h.Name()] {
			t.Errorf("%s: %+v is published (%v), want %+v as before", h.Name(), v.Want, err, published[h.Name()])
		}
		requireSame(t, h, before[h.Name()])
	}

	commit(t, f, "mended", func(w *toplevel.Fleet) {
		w.Kedge = nil
		fleet.Edit(w, func(h *toplevel.Host) { h.EvalError, h.BuildError, h.NotASystem = "", "", false })
		fleet.Edit(w, fleet.App("mended"))
	})
	for _, h := range f.Hosts() {
		requireOn(t, h, "mended")
		if v, err := h.View(t.Context()); err != nil || v.Problem != nil {
			t.Errorf("%s: still has the problem %+v (%v)", h.Name(), v.Problem, err)
		}
	}
}

// wrongOutput is an output kedge of which everything is wrong: attributes that do not
// exist, a selector that matches nobody, a tag with a typo, contradictory windows.
func wrongOutput() map[string]any {
	return map[string]any{
		"rolout": map[string]any{},
		"hosts":  map[string]any{"web9": map[string]any{}, "web1": map[string]any{"tags": []string{"canary"}}},
		"rollout": map[string]any{
			"waves":   []map[string]any{{"name": "mail", "hosts": "mail*"}, {"name": "canary", "hosts": "tag:canray"}},
			"windows": map[string]any{"allow": []string{"Mon 09:00-10:00"}, "deny": []string{"Mon 08:00-11:00"}},
		},
	}
}

// pushWorktree commits what is in the worktree, and pushes it.
func pushWorktree(t *testing.T, f *fleet.Fleet, message string) {
	t.Helper()
	inWorktree(t, f, "commit", "--quiet", "--all", "--message="+message)
	pushTo(t, f, "main")
}

// requirePublished returns what is published for a host, and fails unless it is
// of that revision.
func requirePublished(t *testing.T, h *fleet.Host, rev proto.Revision) proto.Target {
	t.Helper()
	v, err := h.View(t.Context())
	if err != nil || v.Want.Revision != rev {
		t.Fatalf("%s: %+v is published (%v), want revision %s", h.Name(), v.Want, err, rev.Short())
	}
	return v.Want
}

// awaitSourceProblem waits until the controller's status and its metrics name a
// reason why something is wrong with the source, and returns what the status says
// about it.
func awaitSourceProblem(t *testing.T, f *fleet.Fleet, reason proto.Reason, words ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		var r proto.FleetReply
		if err := json.Unmarshal([]byte(f.MustKedge(t, "status", "--json")), &r); err != nil {
			t.Fatalf("read what `kedge status` said: %v", err)
		}
		metric := fmt.Sprintf("kedge_controller_source_problem{channel=\"main\",reason=%q} 1\n", reason)
		s := r.Sources[0]
		lacks := func(word string) bool { return !strings.Contains(s.Error, word) }
		if s.Reason == reason && !slices.ContainsFunc(words, lacks) && strings.Contains(controllerMetrics(t, f), metric) {
			return s.Error
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the source is %+v, want reason %q and words %q, in the metrics too", s, reason, words)
		}
	}
}

// lookInterval is between two looks at what nobody tells of.
const lookInterval = 200 * time.Millisecond
