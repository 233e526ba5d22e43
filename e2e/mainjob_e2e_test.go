//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestMainJob is the way of three revisions of the fleet in examples/fleet: a first
// one, a changed service, and one that fails on one host.
func TestMainJob(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Example: true, Hosts: []string{"web1", "web2", "db1"}})
	requireExample(t, f)
	pushExample(t, f, 1, fleet.Revise(0, 1), "web1", "web2", "db1")
	second := pushExample(t, f, 2, fleet.Revise(1, 2), "web1", "web2", "db1")
	before := requireOn(t, f.Host("web2"), fleet.Answer("web2", 2))

	third := pushExample(t, f, 3, append(fleet.Revise(2, 3), fleet.Change{
		File: "hosts/web2.nix", Before: "  networking.", After: brokenService + "  networking.",
	}), "web1", "db1")
	v := f.Host("web2").MustAwaitPhase(t, third, proto.PhaseRolledBack)
	d := v.Status.Deployment
	if d.Reason != proto.ReasonUnitsFailed || d.Verdict != proto.VerdictRolledBack {
		t.Errorf("web2: reason %q and verdict %q, want %q and %q", d.Reason, d.Verdict, proto.ReasonUnitsFailed, proto.VerdictRolledBack)
	}
	if len(d.Failed) != 1 || d.Failed[0].Name != "broken.service" ||
		!slices.ContainsFunc(d.Failed[0].Log, func(l string) bool { return strings.Contains(l, "frobnicator") }) {
		t.Errorf("web2: failed units are %+v, want broken.service with its log", d.Failed)
	}
	if v.Status.Systems.Revision != second {
		t.Errorf("web2: runs revision %s, want %s", v.Status.Systems.Revision.Short(), second.Short())
	}
	if after := requireOn(t, f.Host("web2"), fleet.Answer("web2", 2)); after != before {
		t.Errorf("web2: is not as it was before: %+v, was %+v", after, before)
	}
	awaitRollout(t, f, third, "halted by its budget", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutHalted })
	requireMetrics(t, f)
	requireLog(t, f, "web2", "activating  test", "broken.service", "rolling-back  test")
}

// requireLog waits until what a host's activations said can be read, and fails unless that
// has all of these, in this order.
func requireLog(t *testing.T, f *fleet.Fleet, host string, says ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		log, err := f.Kedge(ctx, "host", "log", host)
		rest, all := log, err == nil
		for _, s := range says {
			var is bool
			_, rest, is = strings.Cut(rest, s)
			all = all && is
		}
		if all {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("`kedge host log %s` says %q (%v), want %q in it", host, log, err, says)
		}
	}
}

// requireExample fails unless the flake that hosts were installed with is the example
// as it is, but for what is said about trust in its agent.nix.
func requireExample(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	git := func(args ...string) string {
		return f.MustRunOnBuild(t, append([]string{"git", "-C", fleet.Worktree}, args...)...)
	}
	const example = "../examples/fleet"
	files := strings.Fields(git("ls-tree", "-r", "--name-only", "HEAD~1"))
	for _, name := range files {
		want, err := os.ReadFile(filepath.Join(example, name))
		if name == "flake.lock" {
			continue // says what stands in for nixpkgs
		}
		if got := git("show", "HEAD~1:"+name); err != nil || got != string(want) {
			t.Errorf("%s is not that of the example (%v):\n%s", name, err, got)
		}
	}
	if !slices.Contains(files, "flake.nix") {
		t.Errorf("the files are %q", files)
	}
	if changed := git("diff", "--name-only", "HEAD~1"); changed != "agent.nix\n" {
		t.Errorf("changed for the hosts: %q, want agent.nix", changed)
	}
}

// brokenService is one that starts and exits at once.
const brokenService = `  systemd.services.broken = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig.ExecStart = "/bin/sh -c 'echo cannot open the frobnicator; exit 1'";
  };
`

// pushExample pushes a revision of the example, promotes it once its canary is well,
// and waits until the hosts named have committed it, and answer as in it.
func pushExample(t *testing.T, f *fleet.Fleet, revision int, changes []fleet.Change, hosts ...string) proto.Revision {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	rev, err := f.PushChanges(ctx, fmt.Sprintf("revision %d", revision), changes...)
	if err != nil {
		t.Fatal(err)
	}
	f.Host("web1").MustAwaitPhase(t, rev, proto.PhaseCommitted)
	if err := f.Promote(ctx); err != nil {
		t.Fatal(err)
	}
	for _, host := range hosts {
		f.Host(host).MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireOn(t, f.Host(host), fleet.Answer(host, revision))
	}
	return rev
}

// requireMetrics asks where the README says that Prometheus finds them.
func requireMetrics(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	for name, want := range map[string]string{
		"web1": `kedge_agent_deployments_total{verdict="succeeded"} `,
		"web2": `kedge_agent_deployment_phase{phase="rolled-back"} 1`,
	} {
		if got := f.Host(name).MustRun(t, "curl", "--silent", "http://127.0.0.1:9417/metrics"); !strings.Contains(got, want) {
			t.Errorf("%s: metrics lack %s:\n%s", name, want, got)
		}
	}
	requireSays(t, "the controller's metrics", f.MustRunOnBuild(t, "curl", "--silent", "--insecure", "https://localhost/metrics"), "kedge_controller_hosts")
}

// controllerMetrics returns what Prometheus would read.
func controllerMetrics(t *testing.T, f *fleet.Fleet) string {
	t.Helper()
	return f.MustRunOnBuild(t, "curl", "--silent", "--insecure", "https://127.0.0.1:8080/metrics")
}

// TestRevertDeploysAgain: a git revert to a system that ran before is a
// deployment like any other. And a push that nobody tells the controller of, as
// to a repository elsewhere, is found by `kedge reconcile`.
func TestRevertDeploysAgain(t *testing.T) {
	t.Parallel()
	f := up(t, "web1")
	a := func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("A")) }
	commit(t, f, "A", a)
	first := requireOn(t, f.Host("web1"), "A")
	commit(t, f, "B", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("B")) })
	requireOn(t, f.Host("web1"), "B")
	commit(t, f, "A again", a)
	if again := requireOn(t, f.Host("web1"), "A"); again.Current != first.Current {
		t.Errorf("runs %s, want %s again", again.Current, first.Current)
	}

	if _, err := f.Commit(t.Context(), "C", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("C")) }); err != nil {
		t.Fatal(err)
	}
	f.MustRunOnBuild(t, "git", "-C", fleet.Worktree, "push", "--quiet", "origin", "HEAD:unseen")
	heads := fleet.Repository + "/refs/heads/"
	f.MustRunOnBuild(t, "sh", "-c", `cat "$0/unseen" > "$0/main"`, heads) // git would put another file there
	f.MustKedge(t, "reconcile", "--wait")
	requireOn(t, f.Host("web1"), "C")
}
