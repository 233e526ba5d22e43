package agent_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/proto"
)

func TestWhatARebootWouldChangeIsReported(t *testing.T) {
	w := newWorld(t)
	w.reboot = []string{"kernel", "initrd"}
	w.start()
	requireReboot := func(want float64) {
		t.Helper()
		const help = "# HELP kedge_agent_reboot_needed Whether something of the running system takes effect with a reboot only.\n# TYPE kedge_agent_reboot_needed gauge\nkedge_agent_reboot_needed "
		text := help + map[float64]string{0: "0", 1: "1"}[want] + "\n"
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(text), "kedge_agent_reboot_needed"); err != nil {
			t.Error(err)
		}
	}
	w.awaitStatus("no reboot to be needed", func(s proto.Status) bool {
		return condition(s, proto.ConditionRebootNeeded).Status == proto.StatusFalse
	})
	requireReboot(0)
	w.assign(7, pathB)
	d := w.awaitTransaction()
	if !slices.Equal(d.Reboot, w.reboot) {
		t.Errorf("the record has %q, want %q", d.Reboot, w.reboot)
	}
	w.commit(d)
	s := w.awaitStatus("a reboot to be needed", func(s proto.Status) bool {
		c := condition(s, proto.ConditionRebootNeeded)
		return s.Deployment.Phase == proto.PhaseCommitted && c.Status == proto.StatusTrue && c.Reason == proto.ReasonRebootNeeded && strings.Contains(c.Message, "kernel, initrd")
	})
	if !slices.Equal(s.Deployment.Reboot, w.reboot) || s.Deployment.Reason != "" {
		t.Errorf("the deployment is reported with %q, reason %q; want %q and none", s.Deployment.Reboot, s.Deployment.Reason, w.reboot)
	}
	requireReboot(1)
	w.await("an event that says so", func() bool {
		return slices.ContainsFunc(w.events, func(e proto.Event) bool {
			return e.Phase == proto.PhaseFetched && strings.Contains(e.Message, "kernel, initrd")
		})
	})
}
