package agent_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"kedge/agent"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// TestWhatWaitsIsTakenBack has somebody on the host take back what would go on when
// somebody, or the clock, lets it.
func TestWhatWaitsIsTakenBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		record deployment.Deployment
		want   proto.Phase
	}{
		{"held", deployment.Deployment{Phase: proto.PhaseFetched, Way: deployment.WayHold}, proto.PhaseSuperseded},
		{"staged", deployment.Deployment{Phase: proto.PhaseStaged, Way: deployment.WayReboot}, proto.PhaseSuperseded},
		{"armed", deployment.Deployment{Phase: proto.PhaseArmed, Way: deployment.WayBoot, Armed: true, Parked: true}, proto.PhaseRollingBack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := provenAfter(t)
			d := tt.record
			d.ID, d.Serial, d.Toplevel, d.BootID, d.Proven = "7-x", 7, pathC, "boot", deployment.Proven{Toplevel: pathB}
			w.record(d)
			a, _ := w.startAgent()
			s, err := a.RollBack(t.Context(), control.RollBackRequest{By: "ada", Reason: "not today"})
			if err != nil {
				t.Fatal(err)
			}
			if s.ID != "7-x" || s.Phase != tt.want || s.Reason != proto.ReasonRolledBackByHand || s.Message != "by ada: not today" {
				t.Errorf("answered %+v", s)
			}
			if got, err := w.files.Deployment(); err != nil || got.Phase != tt.want {
				t.Errorf("the record is %s, %v", got.Phase, err)
			}
			if tt.want == proto.PhaseRollingBack { // the rest is its transaction's
				w.await("its transaction", func() bool {
					return slices.ContainsFunc(w.ensured, func(d deployment.Deployment) bool { return d.ID == "7-x" && d.Phase == tt.want })
				})
				return
			}
			w.assign(8, pathC)
			w.awaitStatus("it to be kept away", func(s proto.Status) bool {
				return condition(s, proto.ConditionReady).Reason == proto.ReasonRolledBackByHand
			})
		})
	}
}

func TestWhatIsArmedIsTakenBackFirst(t *testing.T) {
	for _, r := range []control.RollBackRequest{{To: 1}, {Reboot: true}} {
		w := provenAfter(t)
		w.record(deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathC, Phase: proto.PhaseArmed, Way: deployment.WayBoot, Armed: true, Parked: true, BootID: "boot"})
		a, _ := w.startAgent()
		if _, err := a.RollBack(t.Context(), r); err == nil || !strings.Contains(err.Error(), "without --to and --reboot") {
			t.Errorf("RollBack(%+v) = %v", r, err)
		}
	}
}

// TestRollBackByAReboot has somebody go back to a system that must not be switched to
// while the host runs.
func TestRollBackByAReboot(t *testing.T) {
	inhibited := []string{"bus from a to b"}
	for _, tt := range []struct {
		name      string
		inhibits  []string
		policy    deployment.Way
		reboot    bool
		protected bool
		want      deployment.Way
		error     string
	}{
		{"nothing speaks against a switch", nil, deployment.WayHold, false, false, deployment.WaySwitch, ""},
		{"a reboot is wanted all the same", nil, deployment.WayHold, true, false, deployment.WayReboot, ""},
		{"the policy is to wait for a person", inhibited, deployment.WayHold, false, false, "", "kedge-agent rollback --reboot"},
		{"who wants a reboot", inhibited, deployment.WayHold, true, false, deployment.WayReboot, ""},
		{"the policy is to reboot", inhibited, deployment.WayReboot, false, false, deployment.WayReboot, ""},
		{"the policy is to wait for a boot", inhibited, deployment.WayBoot, false, false, deployment.WayBoot, ""},
		{"the boot could not be undone", inhibited, deployment.WayReboot, false, true, "", "require_protection"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := provenAfter(t)
			w.inhibits = tt.inhibits
			w.fetched.Unprotected = "no boot loader"
			w.configure = func(c *agent.Config) { c.Policy.Inhibited, c.Reboot.RequireProtection = tt.policy, tt.protected }
			w.unread = errors.New("nobody answers")
			a, _ := w.startAgent()
			_, err := a.RollBack(t.Context(), control.RollBackRequest{By: "ada", Reboot: tt.reboot})
			if tt.error != "" {
				if err == nil || !strings.Contains(err.Error(), tt.error) {
					t.Errorf("RollBack = %v, want %q", err, tt.error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			d := w.awaitByHand()
			if d.Way != tt.want || !slices.Equal(d.Inhibitors, tt.inhibits) {
				t.Errorf("goes by %s, inhibited by %q; want %s", d.Way, d.Inhibitors, tt.want)
			}
			if !tt.want.Staged() {
				return
			}
			w.stage(d)
			w.awaitArmed() // with nobody to ask
		})
	}
}
