package agent_test

import (
	"errors"
	"slices"
	"testing"

	"kedge/agent"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// TestWays checks in which way a system is brought into effect.
func TestWays(t *testing.T) {
	kernel, dbus := []string{"kernel"}, []string{"dbus from a to b"}
	for _, tt := range []struct {
		name     string
		policy   agent.PolicyConfig
		mode     proto.Mode
		reboot   []string
		inhibits []string
		want     deployment.Way
		reason   proto.Reason // of a refusal
	}{
		{"usually", agent.PolicyConfig{}, "", nil, nil, deployment.WaySwitch, ""},
		{"a new kernel, as NixOS does", agent.PolicyConfig{}, "", kernel, nil, deployment.WaySwitch, ""},
		{"what inhibits a switch is held", agent.PolicyConfig{}, "", kernel, dbus, deployment.WayHold, ""},
		{"a policy for what is normal", agent.PolicyConfig{Normal: deployment.WayBoot}, "", nil, nil, deployment.WayBoot, ""},
		{"a policy for a new kernel", agent.PolicyConfig{RebootNeeded: deployment.WayReboot}, "", kernel, nil, deployment.WayReboot, ""},
		{"a policy for what inhibits", agent.PolicyConfig{Inhibited: deployment.WayReboot}, "", nil, dbus, deployment.WayReboot, ""},
		{"mode boot", agent.PolicyConfig{}, proto.ModeBoot, nil, nil, deployment.WayBoot, ""},
		{"mode test", agent.PolicyConfig{Normal: deployment.WayReboot}, proto.ModeTest, kernel, nil, deployment.WayTest, ""},
		{"mode test of what inhibits a switch", agent.PolicyConfig{}, proto.ModeTest, nil, dbus, "", proto.ReasonRebootNeeded},
		{"mode dry-activate", agent.PolicyConfig{Normal: deployment.WayReboot}, proto.ModeDryActivate, nil, nil, deployment.WayDry, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.mode, w.reboot, w.inhibits = tt.mode, tt.reboot, tt.inhibits
			w.configure = func(c *agent.Config) {
				for to, from := range map[*deployment.Way]deployment.Way{
					&c.Policy.Normal: tt.policy.Normal, &c.Policy.RebootNeeded: tt.policy.RebootNeeded, &c.Policy.Inhibited: tt.policy.Inhibited,
				} {
					if from != "" {
						*to = from
					}
				}
			}
			w.start()
			w.assign(7, pathB)
			w.awaitStatus("the fetch to end", func(s proto.Status) bool {
				return s.Deployment.Phase == proto.PhaseFetched || s.Deployment.Phase == proto.PhaseFailed
			})
			d, err := w.files.Deployment()
			if err != nil {
				t.Fatal(err)
			}
			if d.Way != tt.want || d.Reason != tt.reason || !slices.Equal(d.Inhibitors, tt.inhibits) && tt.reason == "" {
				t.Errorf("way %q, reason %q, inhibitors %q; want %q, %q, %q", d.Way, d.Reason, d.Inhibitors, tt.want, tt.reason, tt.inhibits)
			}
		})
	}
}

// TestWhatIsHeldGoesOnOnceItIsConfirmed checks in which way.
func TestWhatIsHeldGoesOnOnceItIsConfirmed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		inhibits []string
		want     deployment.Way
	}{
		{"by a switch", nil, deployment.WaySwitch},
		{"or a reboot, if it must not be switched to", []string{"dbus from a to b"}, deployment.WayReboot},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.inhibits = tt.inhibits
			w.configure = func(c *agent.Config) { c.Policy.Normal = deployment.WayHold }
			a, _ := w.startAgent()
			w.assign(7, pathB)
			w.awaitStatus("it to be held", func(s proto.Status) bool {
				return condition(s, proto.ConditionReady).Reason == proto.ReasonHeld
			})
			if _, err := a.Confirm(t.Context(), "root"); err != nil {
				t.Fatal(err)
			}
			if d := w.awaitTransaction(); d.Way != tt.want {
				t.Errorf("goes on by %q, want %q", d.Way, tt.want)
			}
		})
	}
}

// TestBootsThatAreRefused checks what is not even staged.
func TestBootsThatAreRefused(t *testing.T) {
	unjudged := errors.New("no kedge-trial.service")
	for _, tt := range []struct {
		name     string
		fetched  agent.Fetched
		inhibits []string
		protect  bool
		want     proto.Reason // empty if it is not refused
	}{
		{"a boot loader that cannot undo it", agent.Fetched{Unprotected: "GRUB on btrfs"}, nil, true, proto.ReasonUnprotected},
		{"unless that is good enough", agent.Fetched{Unprotected: "GRUB on btrfs"}, nil, false, ""},
		{"a system that nobody would judge", agent.Fetched{Unjudged: unjudged}, nil, false, proto.ReasonNoAgent},
		{"also one that is held before its boot", agent.Fetched{Unjudged: unjudged}, []string{"dbus from a to b"}, false, proto.ReasonNoAgent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.fetched, w.inhibits = tt.fetched, tt.inhibits
			w.configure = func(c *agent.Config) {
				c.Policy.Normal, c.Reboot.RequireProtection = deployment.WayReboot, tt.protect
			}
			w.start()
			w.assign(7, pathB)
			s := w.awaitStatus("the fetch to end", func(s proto.Status) bool {
				return s.Deployment.Phase == proto.PhaseFetched || s.Deployment.Phase == proto.PhaseFailed
			})
			if s.Deployment.Reason != tt.want {
				t.Errorf("reason %q: %s; want %q", s.Deployment.Reason, s.Deployment.Message, tt.want)
			}
		})
	}
}
