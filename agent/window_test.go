package agent_test

import (
	"slices"
	"testing"
	"time"

	"kedge/agent"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/internal/window"
	"kedge/proto"
)

// TestAVetoHoldsAReboot checks that one does which began long after the staging.
func TestAVetoHoldsAReboot(t *testing.T) {
	w := newWorld(t)
	now := time.Now().UTC()
	w.configure = func(c *agent.Config) {
		c.Policy.Normal = deployment.WayReboot
		span := now.Add(-time.Minute).Format("15:04-") + now.Add(2*time.Hour).Format("15:04 UTC")
		opened, err := window.Parse(span)
		if err != nil {
			t.Fatal(err)
		}
		c.Reboot.Windows = window.Windows{opened}
	}
	w.reboots = []statefile.Veto{{Who: "backup"}}
	w.start()
	w.assign(7, pathB)
	w.stageAt(w.awaitTransaction(), now.Add(-5*time.Hour))
	w.awaitStatus("it to be held", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonInhibited
	})
}

// TestAVetoWhileTheLeaseIsAskedForHoldsTheReboot: the answer may take its time.
func TestAVetoWhileTheLeaseIsAskedForHoldsTheReboot(t *testing.T) {
	w := newWorld(t)
	w.configure = func(c *agent.Config) { c.Policy.Normal, c.Reboot.Lease = deployment.WayReboot, true }
	w.leases = func(acquire bool, _ string) (proto.LeaseReply, error) {
		if acquire {
			w.change(func() { w.reboots = []statefile.Veto{{Who: "backup"}} })
		}
		return proto.LeaseReply{Granted: true}, nil
	}
	w.start()
	w.assign(7, pathB)
	w.stage(w.awaitTransaction())
	s := w.awaitStatus("a decision", func(s proto.Status) bool {
		return s.Deployment.Phase == proto.PhaseArmed || condition(s, proto.ConditionReady).Reason == proto.ReasonInhibited
	})
	if s.Deployment.Phase == proto.PhaseArmed {
		t.Error("the host reboots in spite of a veto")
	}
}

// TestAConfirmationOfARebootIsItsOwn checks that who lets go on what is held does not
// reboot a host outside of its window, and who says so then does.
func TestAConfirmationOfARebootIsItsOwn(t *testing.T) {
	w := newWorld(t)
	w.inhibits = []string{"dbus from a to b"}
	w.configure = func(c *agent.Config) {
		opens := time.Now().UTC().Add(12 * time.Hour)
		later, err := window.Parse(opens.Format("15:04-") + opens.Add(time.Hour).Format("15:04 UTC"))
		if err != nil {
			t.Fatal(err)
		}
		c.Reboot.Windows = window.Windows{later}
	}
	a, _ := w.startAgent()
	await := func(why proto.Reason) {
		w.awaitStatus("it to be "+string(why), func(s proto.Status) bool {
			return condition(s, proto.ConditionReady).Reason == why
		})
	}
	confirm := func() {
		if _, err := a.Confirm(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
	}
	w.assign(7, pathB)
	await(proto.ReasonHeld)
	confirm()
	w.stage(w.awaitTransaction())
	await(proto.ReasonOutsideWindow)
	confirm()
	w.await("the transaction to reboot", func() bool {
		return slices.ContainsFunc(w.ensured, func(d deployment.Deployment) bool { return d.Phase == proto.PhaseArmed })
	})
}
