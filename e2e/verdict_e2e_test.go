//go:build e2e

package e2e_test

import (
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// A trial is one system that a host is asked to run, and what becomes of it.
type trial struct {
	host   string // the host that tries it
	change func(h *toplevel.Host)
	end    end
	says   string // in the deployment's message
	failed string // the unit that is named as failed, with a log that says the same
}

// trials are tried at the same time, each on a host of its own. All systems
// before them have the inhibitor, and the units idle.service and needy.service.
func trials() []trial {
	return []trial{
		{
			"script", func(h *toplevel.Host) { h.Activation = map[string]string{"frobnicate": "frobnicate --now"} },
			end{proto.PhaseRolledBack, proto.ReasonActivationFailed},
			"frobnicate", "",
		},
		{
			"refused", func(h *toplevel.Host) {
				h.PreSwitchChecks = map[string]string{"frobnicator": "exit 1"}
			},
			end{proto.PhaseFailed, proto.ReasonCheckRefused},
			"frobnicator", "",
		},
		{
			"inhibited", func(h *toplevel.Host) { h.Inhibitors = map[string]string{"bus": "broker"} },
			end{proto.PhaseFailed, proto.ReasonRebootNeeded},
			`bus from "daemon" to "broker"`, "",
		},
		{
			"init", func(h *toplevel.Host) { h.InitInterface = "systemd 3" },
			end{proto.PhaseFailed, proto.ReasonRebootNeeded},
			"systemd 3", "",
		},
		{
			"dies", fleet.AddUnit("mortal.service", toplevel.DiesAfter(2*time.Second, "ran out of frobnicators")),
			end{proto.PhaseRolledBack, proto.ReasonUnitsFailed},
			"mortal.service", "mortal.service",
		},
		{
			"flaps", fleet.AddUnit("flapping.service", toplevel.Flaps(300*time.Millisecond, 200*time.Millisecond, "lost the frobnicators")),
			end{proto.PhaseRolledBack, proto.ReasonUnitsFailed},
			"flapping.service", "flapping.service",
		},
		{
			"idle", func(h *toplevel.Host) {
				fleet.Config("probation:\n", "probation:\n  checks: [{name: works, unit: idle.service, required: true}]\n")(h)
				soonDecided(h)
			},
			end{proto.PhaseRolledBack, proto.ReasonCheckFailed},
			"check works: idle.service is inactive", "",
		},
		{
			"advised", fleet.Config("probation:\n", "probation:\n  checks: [{name: works, unit: idle.service}]\n"),
			end{proto.PhaseCommitted, ""},
			"", "",
		},
		{
			"slow", fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart)),
			end{proto.PhaseCommitted, ""},
			"", "",
		},
		{
			"loader", func(*toplevel.Host) {}, // its boot loader refuses everything
			end{proto.PhaseRollbackFailed, proto.ReasonRollbackFailed},
			"rolling back because of register-failed: make it the boot default", "",
		},
		{
			"failed-before", func(*toplevel.Host) {},
			end{proto.PhaseCommitted, ""},
			"", "",
		},
	}
}

// soonDecided shortens the deadline of a system that is to end by it. Others
// have a minute: many hosts share few processors.
func soonDecided(h *toplevel.Host) {
	fleet.Config("deadline: 1m0s", "deadline: 20s")(h)
}

// TestTransactionVerdict is the way of systems that are not as good as the one before, and
// of some that only look like it.
func TestTransactionVerdict(t *testing.T) {
	t.Parallel()
	var names []string
	for _, tr := range trials() {
		names = append(names, tr.host)
	}
	f := up(t, names...)
	idle := toplevel.Sleeps("idle")
	idle.WantedBy = nil
	needy := toplevel.Unit{Text: "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c '! test -e /var/lib/taken'\n", WantedBy: []string{"multi-user.target"}}
	commit(t, f, "before", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("before"))
		fleet.Edit(w, fleet.AddUnit("idle.service", idle))
		fleet.Edit(w, fleet.AddUnit("needy.service", needy))
		fleet.Edit(w, func(h *toplevel.Host) { h.Inhibitors = map[string]string{"bus": "daemon"} })
	})
	h := f.Host("failed-before")
	h.MustRun(t, "touch", "/var/lib/taken")
	if _, err := h.Run(t.Context(), "systemctl", "restart", "needy.service"); err == nil {
		t.Fatal("needy.service starts although it was to fail")
	}
	f.Host("loader").MustRun(t, "touch", "/boot/e2e-fail")
	before := map[string]fleet.Facts{}
	for _, h := range f.Hosts() {
		before[h.Name()] = requireOn(t, h, "before")
	}

	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		fleet.Edit(w, fleet.Config("grace: 1s", "grace: 4s"))
		for _, tr := range trials() {
			fleet.Edit(w, tr.change, tr.host)
		}
	})
	for _, tr := range trials() {
		h := f.Host(tr.host)
		d := requireEnd(t, h, rev, tr.end.phase, tr.end.reason)
		requireSays(t, tr.host+"'s message", d.Message, tr.says)
		if tr.end.phase == proto.PhaseCommitted {
			requireOn(t, h, "after")
		} else {
			requireSame(t, h, before[tr.host])
		}
		requireFailed(t, h, d, tr.failed)
		if got, want := quarantined(t, h, d.Toplevel), tr.end.phase == proto.PhaseRolledBack; got != want {
			t.Errorf("%s: quarantined is %t, want %t", tr.host, got, want)
		}
	}
	for _, history := range []struct{ host, phase, says string }{
		{"advised", string(proto.PhaseCommitting), "check works: idle.service is inactive (dead) (not required, failed before too)"},
		{"failed-before", string(proto.PhaseProbation), "needy.service"},
	} {
		f.Host(history.host).MustAwaitEvent(t, history.phase+" with "+history.says, func(e proto.Event) bool {
			return e.Revision == rev && string(e.Phase) == history.phase && strings.Contains(e.Message, history.says)
		})
	}
}

// requireFailed fails unless that unit, and no other, is named as failed, with
// lines of its log; none, if unit is empty.
func requireFailed(t *testing.T, h *fleet.Host, d proto.DeploymentStatus, unit string) {
	t.Helper()
	var named []string
	for _, u := range d.Failed {
		named = append(named, u.Name)
	}
	switch {
	case unit == "" && len(named) > 0:
		t.Errorf("%s: %q are named as failed, want none", h.Name(), named)
	case unit != "" && (len(named) != 1 || named[0] != unit):
		t.Errorf("%s: %q are named as failed, want %s", h.Name(), named, unit)
	case unit != "" && !strings.Contains(strings.Join(d.Failed[0].Log, "\n"), "frobnicators"):
		t.Errorf("%s: the log of %s does not say why: %q", h.Name(), unit, d.Failed[0].Log)
	}
}
