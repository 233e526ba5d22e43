package agent_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/agent"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/proto"
)

// TestWhatWaitsIsTakenBack has somebody on the host take back what would go on when
// somebody, or the clock, lets it.
func TestWhatWaitsIsTakenBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		record deployment.Deployment
		to     proto.Generation
		want   proto.Phase
	}{
		{"held", deployment.Deployment{Phase: proto.PhaseFetched, Way: deployment.WayHold}, 0, proto.PhaseSuperseded},
		{"staged", deployment.Deployment{Phase: proto.PhaseStaged, Way: deployment.WayReboot}, 0, proto.PhaseSuperseded},
		{"staged, for what is proven", deployment.Deployment{Phase: proto.PhaseStaged, Way: deployment.WayReboot}, 2, proto.PhaseSuperseded},
		{"staged, for what is proven by its other number", deployment.Deployment{Phase: proto.PhaseStaged, Way: deployment.WayReboot}, 8, proto.PhaseSuperseded},
		{"armed", deployment.Deployment{Phase: proto.PhaseArmed, Way: deployment.WayBoot, Armed: true, Parked: true}, 0, proto.PhaseRollingBack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := provenAfter(t)
			d := tt.record
			d.ID, d.Serial, d.Toplevel, d.BootID, d.Proven = "7-x", 7, pathC, "boot", deployment.Proven{Toplevel: pathB}
			w.record(d)
			a, _ := w.startAgent()
			s, err := a.RollBack(t.Context(), control.RollBackRequest{To: tt.to, By: "ada", Reason: "not today"})
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
	for _, r := range []control.RollBackRequest{{To: 1}, {Reboot: true}, {To: 2, Reboot: true}} {
		for plain, want := range map[bool]string{false: "`kedge-agent rollback`", true: "`kedge-agent rollback --to 2`"} {
			w := provenAfter(t)
			w.record(deployment.Deployment{
				ID: "x", Toplevel: pathC, Plain: plain, Phase: proto.PhaseArmed, Way: deployment.WayBoot, Armed: true, Parked: true, BootID: "boot",
			})
			a, _ := w.startAgent()
			if _, err := a.RollBack(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("RollBack(%+v) = %v, want it to name %s", r, err, want)
			}
		}
	}
}

// TestAWayBackThatWaitsIsNotTakenBackByAskingAgain has somebody ask twice for a system that
// hooks hold up, or that is gone to in a boot: it would begin anew, or its system be left, and
// kept away.
func TestAWayBackThatWaitsIsNotTakenBackByAskingAgain(t *testing.T) {
	byHand := deployment.Deployment{
		ID: "by-hand-x", Origin: deployment.OriginHand, Plain: true, Toplevel: pathA, Reason: proto.ReasonRolledBackByHand,
		BootID: "boot", Proven: deployment.Proven{Toplevel: pathB},
	}
	hooked, staged, armed := byHand, byHand, byHand
	hooked.Phase, hooked.Way = proto.PhaseFetched, deployment.WaySwitch
	staged.Phase, staged.Way = proto.PhaseStaged, deployment.WayReboot
	armed.Phase, armed.Way, armed.Armed, armed.Parked = proto.PhaseArmed, deployment.WayBoot, true, true
	for _, d := range []deployment.Deployment{hooked, staged, armed} {
		t.Run(string(d.Phase), func(t *testing.T) {
			w := provenAfter(t)
			w.hooks.PreReboot = []agent.HookConfig{{Exec: []string{"/bin/drain"}, Timeout: time.Hour}}
			w.hooks.PreActivate = w.hooks.PreReboot
			w.hook = func(ctx context.Context, _ hook.Call) error { <-ctx.Done(); return ctx.Err() }
			w.record(d)
			a, _ := w.startAgent()
			s, err := a.RollBack(t.Context(), control.RollBackRequest{By: "eva"})
			if err != nil || s.ID != d.ID || s.Phase != d.Phase {
				t.Errorf("RollBack = %+v, %v; want it to wait as it did", s, err)
			}
			if q, err := w.files.Quarantines(time.Now()); err != nil || len(q) > 0 {
				t.Errorf("kept away is %v, %v; want nothing", q, err)
			}
			if d, err := w.files.Deployment(); err != nil || d.ID != s.ID || d.Phase != s.Phase {
				t.Errorf("the record is %s, %s, %v", d.ID, d.Phase, err)
			}
		})
	}
	t.Run("but by asking for what is proven", func(t *testing.T) {
		w := provenAfter(t)
		w.record(armed)
		a, _ := w.startAgent()
		w.awaitStatus("it to say so", func(s proto.Status) bool {
			return strings.Contains(condition(s, proto.ConditionReady).Message, "`kedge-agent rollback --to 2` takes it back")
		})
		s, err := a.RollBack(t.Context(), control.RollBackRequest{To: 2, By: "eva"})
		if err != nil || s.ID != armed.ID || s.Phase != proto.PhaseRollingBack || s.Reason != proto.ReasonRolledBackByHand {
			t.Errorf("RollBack = %+v, %v; want it to be taken back", s, err)
		}
	})
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
