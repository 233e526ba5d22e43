//go:build e2e

package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestMainJob is the way of three revisions: a first one, a changed service,
// and one that fails on one host.
func TestMainJob(t *testing.T) {
	t.Parallel()
	f := up(t, "web1", "web2", "db1")
	commit(t, f, "revision 1", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("revision 1")) })
	for _, h := range f.Hosts() {
		requireOn(t, h, "revision 1")
	}
	second := commit(t, f, "revision 2", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("revision 2")) })
	before := requireOn(t, f.Host("web2"), "revision 2")

	third := f.MustPush(t, "revision 3", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("revision 3"))
		fleet.Edit(w, fleet.AddUnit("broken.service", toplevel.ExitsAtOnce("cannot open the frobnicator")), "web2")
	})
	for _, name := range []string{"web1", "db1"} {
		f.Host(name).MustAwaitPhase(t, third, proto.PhaseCommitted)
		requireOn(t, f.Host(name), "revision 3")
	}
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
	if after := requireOn(t, f.Host("web2"), "revision 2"); after != before {
		t.Errorf("web2: is not as it was before: %+v, was %+v", after, before)
	}
	requireMetrics(t, f)
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
	requireSays(t, "the controller's metrics", controllerMetrics(t, f), "kedge_controller_hosts")
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
