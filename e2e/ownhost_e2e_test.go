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

// TestTransactionOwnHost: the build host is a host of its fleet, and deploys itself,
// controller and NATS server included.
func TestTransactionOwnHost(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"web1"}, Own: true})
	web1, own := f.Host("web1"), f.Host(f.Build().Name())

	t.Run("alone and last, and the controller is started anew by the very switch that it ordered", func(t *testing.T) {
		rev := f.MustPush(t, "first", func(w *toplevel.Fleet) {
			w.Kedge = map[string]any{"rollout": map[string]any{"onBrokenBudget": "revert"}}
			fleet.Edit(w, fleet.App("first"))
			fleet.Edit(w, controllerService("Environment=MARK=1"), own.Name())
		})
		requireEnd(t, own, rev, proto.PhaseCommitted, "")
		r := awaitRollout(t, f, rev, "done", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutDone })
		if waves := r.Rollout.Waves; len(waves) != 2 || waves[1].Name != own.Name() || waves[1].Hosts != 1 || waves[1].Started.Before(waves[0].Ended) {
			t.Errorf("the waves are %+v; want the build host alone in the last", waves)
		}
		for _, h := range f.Hosts() {
			requireOn(t, h, "first")
		}
		others, itself := mustRecord(t, web1), mustRecord(t, own)
		if began, ended := itself.Entered(proto.PhaseAccepted), others.Entered(proto.PhaseCommitted); began.Before(ended) {
			t.Errorf("it began at %s, and the other host committed at %s", began, ended)
		}
		if started := controllerStart(t, f); started.Before(itself.Entered(proto.PhaseActivating)) || started.After(itself.Entered(proto.PhaseProbation)) {
			t.Errorf("the controller was started at %s, and the switch went from %s to %s", started,
				itself.Entered(proto.PhaseActivating), itself.Entered(proto.PhaseProbation))
		}
	})

	t.Run("a revision whose controller does not start goes back, everywhere, by the controller that is alive again", func(t *testing.T) {
		before := own.MustFacts(t)
		rev := f.MustPush(t, "bad", func(w *toplevel.Fleet) {
			fleet.Edit(w, fleet.App("bad"))
			fleet.Edit(w, controllerService("ExecStartPre=/bin/false"), own.Name())
		})
		d := requireEnd(t, own, rev, proto.PhaseRolledBack, proto.ReasonUnitsFailed)
		if len(d.Failed) != 1 || d.Failed[0].Name != fleet.ControllerUnit {
			t.Errorf("names %+v as failed", d.Failed)
		}
		requireSame(t, own, before)
		if !quarantined(t, own, d.Toplevel) {
			t.Error("it is not quarantined")
		}
		r := awaitRollout(t, f, rev, "reverted", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutReverted })
		requireSays(t, "why it is", r.Rollout.Why, own.Name())
		awaitAnswer(t, web1, "first")
	})
}

// controllerService adds a line to the kedge-controller.service of a system.
func controllerService(line string) func(h *toplevel.Host) {
	return func(h *toplevel.Host) {
		u := h.Units[fleet.ControllerUnit]
		u.Text = strings.Replace(u.Text, "[Service]\n", "[Service]\n"+line+"\n", 1)
		fleet.AddUnit(fleet.ControllerUnit, u)(h)
	}
}

// controllerStart returns when the controller that runs was started.
func controllerStart(t *testing.T, f *fleet.Fleet) time.Time {
	t.Helper()
	out := f.MustRunOnBuild(t, "systemctl", "show", "--timestamp=us+utc", "--value", "--property=ExecMainStartTimestamp", fleet.ControllerUnit)
	started, err := time.Parse("Mon 2006-01-02 15:04:05.000000 MST", strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	return started
}

// mustRecord returns the record on the host's disk.
func mustRecord(t *testing.T, h *fleet.Host) fleet.Record {
	t.Helper()
	r, err := h.Record()
	if err != nil {
		t.Fatal(err)
	}
	return r
}
