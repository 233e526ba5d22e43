//go:build e2e

package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestTransactionOnHost: what somebody says on the host itself holds, is seen by the fleet,
// and never stops what has begun.
func TestTransactionOnHost(t *testing.T) {
	t.Parallel()
	f := up(t, "web1")
	h := f.Host("web1")
	first := commit(t, f, "first", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("first"))
		fleet.Edit(w, fleet.Config("log:", "control:\n  status_group: adm\ninhibit:\n  logind: always\nlog:"))
		fleet.Edit(w, fleet.Config("probation:\n", "probation:\n  checks: [{name: web, required: true, unit: app.service}]\n"))
	})

	// Whoever is in the group may look, and no more; others may not even look.
	member := []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=adm", "kedge-agent"}
	requireSays(t, "status for a member of the group", h.MustRun(t, append(member, "status")...), "web1", "committed", "Suspended")
	requireSays(t, "history for a member of the group", h.MustRun(t, append(member, "history")...), first.Short())
	requireDenied(t, h, append(member, "suspend")...)
	requireDenied(t, h, append(member, "reconcile")...)
	requireDenied(t, h, append(member, "check")...)
	requireDenied(t, h, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "kedge-agent", "status")

	testSuspend(t, f, h)
	testInhibit(t, f, h)
	testLock(t, f, h)

	requireHistory(t, h, 4)
	requireSays(t, "the journal", h.MustRun(t, "kedge-agent", "logs"), "committed")
	h.MustRun(t, "systemctl", "stop", "kedge-agent.service")
	testCheck(t, h)
	requireSays(t, "status without the agent", h.MustRun(t, "kedge-agent", "status"), "web1", "committed", "Suspended")
	requireHistory(t, h, 4)
	h.MustRun(t, "systemctl", "start", "kedge-agent.service")
	requireSays(t, "reconcile --wait", h.MustRun(t, "kedge-agent", "reconcile", "--wait"), string(proto.ReasonConverged))

	testConfirm(t, f, h)
	testRollBack(t, f, h)
	testRecall(t, f, h)
}

// testCheck has a unit fail, and mends it, on a host without an agent.
func testCheck(t *testing.T, h *fleet.Host) {
	t.Helper()
	requireSays(t, "a check of a host that is well", h.MustRun(t, "kedge-agent", "check"), "web", "passed", "no unit has failed")
	h.MustRun(t, "sh", "-c", "printf '[Service]\nType=oneshot\nExecStart=/bin/sh -c \"echo no disk; exit 1\"\n' >/run/systemd/system/sick.service; systemctl daemon-reload; ! systemctl start sick.service")
	requireSays(t, "a check of a host with a failed unit", h.MustRun(t, "sh", "-c", "kedge-agent check --json; test $? = 3"), `"sick.service"`, "no disk")
	h.MustRun(t, "systemctl", "reset-failed", "sick.service")
}

// testSuspend pushes to a host that is suspended, boots it, and resumes.
func testSuspend(t *testing.T, f *fleet.Fleet, h *fleet.Host) {
	t.Helper()
	h.MustRun(t, "kedge-agent", "suspend", "--for", "2h", "--reason", "disk swap")
	rev := f.MustPush(t, "second", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("second")) })
	v := awaitHeld(t, h, rev, proto.ReasonSuspended)
	requireSays(t, "`kedge status`", f.MustKedge(t, "status"), "suspended: by root until", "disk swap")
	boot := v.Status.BootID
	if err := h.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.MustAwaitView(t, "a suspended host after its boot", func(v proto.HostView) bool {
		return v.Status.BootID != boot && v.Status.Serial == v.Want.Serial && condition(v, proto.ConditionReady).Reason == proto.ReasonSuspended
	})
	requireOn(t, h, "first")
	h.MustRun(t, "kedge-agent", "resume")
	v = h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, h, "second")
	if c := condition(v, proto.ConditionSuspended); c.Status != proto.StatusFalse {
		t.Errorf("after it suspended is %+v", c)
	}
}

// testInhibit pushes to a host on which something runs that must not be
// disturbed.
func testInhibit(t *testing.T, f *fleet.Fleet, h *fleet.Host) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), "kedge-agent", "inhibit", "--reason", "a backup runs", "--",
			"sh", "-c", "touch /run/begun; until test -e /run/done; do sleep 0.1; done; exit 7")
		ended <- err
	}()
	h.MustRun(t, "sh", "-c", "until test -e /run/begun; do sleep 0.1; done")
	rev := f.MustPush(t, "third", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("third")) })
	v := awaitHeld(t, h, rev, proto.ReasonInhibited)
	if d := v.Status.Deployment; d.Revision != rev || d.Phase != proto.PhaseFetched {
		t.Errorf("deployment is %s of %s, want %s fetched", d.Phase, d.Revision.Short(), rev.Short())
	}
	requireSays(t, "`kedge status`", f.MustKedge(t, "status"), "not ready: inhibited: root-", "a backup runs")
	requireOn(t, h, "second")
	h.MustRun(t, "touch", "/run/done")
	if code, _ := exitCode(t, <-ended); code != 7 {
		t.Errorf("inhibit ended with %d, want 7 as its command", code)
	}
	h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, h, "third")
}

// testConfirm pushes to a host on which somebody forgot a veto.
func testConfirm(t *testing.T, f *fleet.Fleet, h *fleet.Host) {
	t.Helper()
	h.MustRun(t, "sh", "-c", "echo a backup runs >/run/kedge/inhibit.d/backup")
	rev := f.MustPush(t, "fourth", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("fourth")) })
	awaitHeld(t, h, rev, proto.ReasonInhibited)
	h.MustRun(t, "kedge-agent", "confirm")
	v := h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	h.MustAwaitEvent(t, "what was confirmed", func(e proto.Event) bool {
		return e.Reason == proto.ReasonConfirmed && e.Deployment == v.Status.Deployment.ID && e.Message == "confirmed by root, in spite of backup: a backup runs"
	})
	requireOn(t, h, "fourth")
	requireNothing(t, h, "kedge-agent", "confirm")
	h.MustRun(t, "rm", "/run/kedge/inhibit.d/backup")
}

// testRollBack goes back from what was just committed, and on again.
func testRollBack(t *testing.T, f *fleet.Fleet, h *fleet.Host) {
	t.Helper()
	left := h.MustFacts(t)
	said := h.MustRun(t, "kedge-agent", "rollback", "--reason", "it is slow", "--wait")
	requireSays(t, "rollback --wait", said, "committed: rolled-back-by-hand: by root: it is slow")
	requireOn(t, h, "locked")
	awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonRolledBackByHand)
	h.MustAwaitEvent(t, "the commit by hand", func(e proto.Event) bool {
		return strings.HasPrefix(e.Deployment, "by-hand-") && e.Phase == proto.PhaseCommitted && e.Serial == 0
	})
	requireNothing(t, h, "kedge-agent", "rollback")

	// Nobody undoes it but who lifts it.
	f.MustKedge(t, "reconcile", "web1")
	if code, _ := exitCode(t, runError(t, h, "kedge-agent", "reconcile", "--wait")); code != 3 {
		t.Errorf("reconcile --wait after a rollback by hand ended with %d, want 3", code)
	}
	requireOn(t, h, "locked")
	h.MustRun(t, "kedge-agent", "lift", left.Current)
	awaitReason(t, h, proto.ConditionReady, proto.StatusTrue, proto.ReasonConverged)
	if on := requireOn(t, h, "fourth"); on.Current != left.Current {
		t.Errorf("runs %s, want what was left, %s", on.Current, left.Current)
	}
}

// testRecall goes back in the middle of a probation, without an agent.
func testRecall(t *testing.T, f *fleet.Fleet, h *fleet.Host) {
	t.Helper()
	before := requireOn(t, h, "fourth")
	rev := f.MustPush(t, "fifth", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("fifth"))
		fleet.Edit(w, fleet.Config("grace: 1s", "grace: 15s"))
	})
	r := awaitStep(t, h, rev, proto.PhaseProbation)
	h.MustRun(t, "systemctl", "stop", "kedge-agent.service")
	said := h.MustRun(t, "kedge-agent", "rollback", "--reason", "it is slower", "--wait")
	requireSays(t, "rollback --wait", said, r.ID+": goes back to "+before.Current, "rolled-back: rolled-back-by-hand: by root: it is slower")
	requireEnd(t, h, rev, proto.PhaseRolledBack, proto.ReasonRolledBackByHand)
	requireSame(t, h, before)
	awaitReason(t, h, proto.ConditionReady, proto.StatusFalse, proto.ReasonRolledBackByHand)
}

// requireNothing fails unless a program says that there is nothing to do.
func requireNothing(t *testing.T, h *fleet.Host, argv ...string) {
	t.Helper()
	if code, stderr := exitCode(t, runError(t, h, argv...)); code != 5 || !strings.Contains(stderr, "nothing to do") {
		t.Errorf("%q ended with %d: %s; want 5, nothing to do", argv, code, stderr)
	}
}

func runError(t *testing.T, h *fleet.Host, argv ...string) error {
	t.Helper()
	_, err := h.Run(t.Context(), argv...)
	return err
}

// testLock pushes to a host that somebody keeps up by a lock of logind.
func testLock(t *testing.T, f *fleet.Fleet, h *fleet.Host) {
	t.Helper()
	h.MustRun(t, "systemctl", "start", "systemd-logind.service")
	h.MustRun(t, "systemd-run", "--unit=keeps-up", "systemd-inhibit", "--what=shutdown", "--who=burner", "--why=burns a disc", "sleep", "infinity")
	h.MustRun(t, "sh", "-c", "until systemd-inhibit --list | grep burner; do sleep 0.1; done")
	rev := f.MustPush(t, "locked", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("locked")) })
	v := awaitHeld(t, h, rev, proto.ReasonInhibited)
	for _, of := range []proto.ConditionType{proto.ConditionInhibited, proto.ConditionRebootInhibited} {
		if c := condition(v, of); c.Status != proto.StatusTrue || !strings.Contains(c.Message, "burner (user 0, process ") || !strings.Contains(c.Message, "burns a disc") {
			t.Errorf("%s is %+v, want it because of the lock", of, c)
		}
	}
	requireOn(t, h, "third")
	h.MustRun(t, "systemctl", "stop", "keeps-up.service")
	h.MustRun(t, "kedge-agent", "reconcile") // it would look by itself within a minute
	h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, h, "locked")
}

// awaitHeld waits until the host has read that it shall run rev, and does not
// because of why.
func awaitHeld(t *testing.T, h *fleet.Host, rev proto.Revision, why proto.Reason) proto.HostView {
	t.Helper()
	return h.MustAwaitView(t, rev.Short()+" to be "+string(why), func(v proto.HostView) bool {
		return v.Want.Revision == rev && v.Status.Serial == v.Want.Serial && condition(v, proto.ConditionReady).Reason == why
	})
}

// requireDenied fails unless the host does not let a program do what it wants.
func requireDenied(t *testing.T, h *fleet.Host, argv ...string) {
	t.Helper()
	_, err := h.Run(t.Context(), argv...)
	if code, stderr := exitCode(t, err); code != 1 || !strings.Contains(stderr, "permission denied") {
		t.Errorf("%q ended with %d: %s; want 1, permission denied", argv, code, stderr)
	}
}

// requireHistory fails unless the host remembers n deployments that succeeded,
// in order.
func requireHistory(t *testing.T, h *fleet.Host, n int) {
	t.Helper()
	var history struct {
		Deployments []proto.DeploymentStatus `json:"deployments"`
	}
	if err := json.Unmarshal([]byte(h.MustRun(t, "kedge-agent", "history", "--json")), &history); err != nil {
		t.Fatal(err)
	}
	sorted := slices.IsSortedFunc(history.Deployments, func(a, b proto.DeploymentStatus) int { return a.Started.Compare(b.Started) })
	bad := slices.ContainsFunc(history.Deployments, func(d proto.DeploymentStatus) bool { return d.Verdict != proto.VerdictSucceeded })
	if len(history.Deployments) != n || !sorted || bad {
		t.Errorf("history is %+v, want %d that succeeded, the newest last", history.Deployments, n)
	}
}
