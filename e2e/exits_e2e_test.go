//go:build e2e

package e2e_test

import (
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// An activated is a system whose activation goes a way of its own, and what
// becomes of it. Systems whose activation script fails (2), whose units fail (4),
// and that another init interface keeps away (100), are in [trials].
type activated struct {
	change func(h *toplevel.Host)
	end    end
	says   string // in the deployment's message
}

// switchFirst makes a system's switch-to-configuration do something first when
// it is to activate.
func switchFirst(script string) func(h *toplevel.Host) {
	return func(h *toplevel.Host) { h.Switch = "if [[ $1 == test ]]; then\n" + script + "\nfi\n" }
}

func activations() map[string]activated {
	failed := end{proto.PhaseRolledBack, proto.ReasonActivationFailed}
	interrupted := end{proto.PhaseRolledBack, proto.ReasonInterrupted} // each of three times
	committed := end{proto.PhaseCommitted, ""}
	script := func(text string) func(h *toplevel.Host) {
		return func(h *toplevel.Host) { h.Activation = map[string]string{"upset": text} }
	}
	return map[string]activated{
		"one":          {switchFirst("echo 'Error: out of frobnicators' >&2; exit 1"), end{proto.PhaseFailed, proto.ReasonActivationFailed}, "before it touched anything with exit code 1: Error: out of frobnicators"},
		"three":        {switchFirst(`"$real" "$@"; exit 3`), failed, "exit code 3"},
		"crashed-once": {switchFirst(`if mkdir /run/crashed; then "$real" "$@"; exit 101; fi`), committed, ""},
		"crashes":      {switchFirst(`"$real" "$@"; exit 101`), interrupted, "switch-to-configuration crashed"},
		"killed":       {script("kill -KILL $PPID"), interrupted, "switch-to-configuration was killed"},
		"hangs":        {script("sleep 1000"), end{proto.PhaseRolledBack, proto.ReasonActivationHung}, "did not end before its deadline"},
		"locked":       {func(*toplevel.Host) {}, committed, ""},
		"bad-url": {
			fleet.Config("probation:\n", "probation:\n  checks: [{name: works, http: {url: 'gopher://frobnicator'}}]\n"),
			end{proto.PhaseFailed, proto.ReasonBadConfig},
			"gopher://frobnicator",
		},
		"collected": {fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart)), committed, ""},
		"back": {
			func(h *toplevel.Host) {
				fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart))(h)
				fleet.AddUnit("broken.service", toplevel.FailsToStart("no"))(h)
			},
			end{proto.PhaseRolledBack, proto.ReasonUnitsFailed},
			"broken.service",
		},
		"dangling": {func(*toplevel.Host) {}, committed, ""},
	}
}

// TestTransactionActivations: however switch-to-configuration ends, and whatever
// somebody does to the generations meanwhile, the host is on the new system,
// judged, or on the one before.
func TestTransactionActivations(t *testing.T) {
	t.Parallel()
	rows := activations()
	var names []string
	for name := range rows {
		names = append(names, name)
	}
	f := up(t, names...)
	commit(t, f, "older", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("older")) })
	commit(t, f, "before", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("before"))
		fleet.Edit(w, fleet.Config("log:\n", "activation:\n  timeout: 20s\nlog:\n"), "hangs")
	})
	before := map[string]fleet.Facts{}
	for _, h := range f.Hosts() {
		before[h.Name()] = requireOn(t, h, "before")
	}
	locked, dangling := f.Host("locked"), f.Host("dangling")
	locked.MustRun(t, "systemd-run", "--unit=holder", "flock", "/run/nixos/switch-to-configuration.lock", "sh", "-c", "until test -e /run/let-go; do sleep 0.1; done")
	const profile = "/nix/var/nix/profiles/system"
	dangling.MustRun(t, "ln", "--symbolic", "--force", "--no-dereference", "system-99-link", profile)

	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		for name, row := range rows {
			fleet.Edit(w, row.change, name)
		}
	})
	for _, name := range []string{"collected", "back"} {
		awaitStep(t, f.Host(name), rev, proto.PhaseActivating)
		f.Host(name).MustRun(t, "nix-collect-garbage", "--delete-old")
	}
	awaitStep(t, locked, rev, proto.PhaseActivating)
	locked.MustRun(t, "sh", "-c", "until journalctl --quiet --unit='kedge-transact-*' | grep -q 'another switch-to-configuration is running'; do sleep 0.1; done")
	locked.MustRun(t, "touch", "/run/let-go")

	v := dangling.MustAwaitView(t, "the newest revision to be read and left", func(v proto.HostView) bool {
		return v.Want.Revision == rev && v.Status.Serial == v.Want.Serial && condition(v, proto.ConditionReady).Reason == proto.ReasonNotProven
	})
	if v.Status.Deployment.Revision == rev {
		t.Errorf("dangling: began to deploy %+v although the profile names nothing", v.Status.Deployment)
	}
	dangling.MustRun(t, "ln", "--symbolic", "--force", "--no-dereference", before["dangling"].Generation, profile)
	f.MustKedge(t, "reconcile", "dangling")

	for name, row := range rows {
		h := f.Host(name)
		h.MustAwaitPhase(t, rev, row.end.phase) // after an inconclusive try, if it is interrupted
		d := requireEnd(t, h, rev, row.end.phase, row.end.reason)
		requireSays(t, name+"'s message", d.Message, row.says)
		if row.end.phase == proto.PhaseCommitted {
			requireOn(t, h, "after")
			continue
		}
		requireSame(t, h, before[name])
		if got, want := quarantined(t, h, d.Toplevel), row.end.phase == proto.PhaseRolledBack; got != want {
			t.Errorf("%s: quarantined is %t, want %t", name, got, want)
		}
		awaitContact(t, h, d.Serial)
	}
}
