package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/internal/window"
	"kedge/proto"
)

// PolicyConfig says how a system is brought into effect that shall be switched
// to: "switch", "boot", "reboot" or "hold".
type PolicyConfig struct {
	// Normal is for what needs no reboot.
	Normal deployment.Way `config:"normal"`
	// RebootNeeded is for a system of which something takes effect with a reboot
	// only, such as its kernel.
	RebootNeeded deployment.Way `config:"reboot_needed"`
	// Inhibited is for one that must not be switched to while the host runs.
	Inhibited deployment.Way `config:"inhibited"`
	// ConfirmAfter is after how long what is held goes on without a person; 0 for never.
	ConfirmAfter time.Duration `config:"confirm_after"`
}

// RebootConfig says when a deployment may boot its host, and how.
type RebootConfig struct {
	Windows window.Windows `config:"windows"` // when; none means at any time
	Lease   bool           `config:"lease"`   // only with a lease from the controller
	// Timeout bounds the going down and, after it, the coming up.
	Timeout time.Duration `config:"timeout"`
	// RequireProtection refuses trial boots that the boot loader cannot undo.
	RequireProtection bool `config:"require_protection"`
	// LastResort allows one reboot on a way back, or after it: if the proven system
	// cannot be activated, or if nobody at all answers for LastResortAfter, give or
	// take 20 %.
	LastResort      bool          `config:"last_resort"`
	LastResortAfter time.Duration `config:"last_resort_after"`
}

func defaultPolicy() PolicyConfig {
	return PolicyConfig{Normal: deployment.WaySwitch, RebootNeeded: deployment.WaySwitch, Inhibited: deployment.WayHold}
}

// defaultResort is longer than most outages of a network, and than what brings most
// of them to an end.
const defaultResort = 30 * time.Minute

// defaultBootTimeout is for servers whose firmware takes minutes.
const defaultBootTimeout = 10 * time.Minute

func (c PolicyConfig) validate(p *problems) {
	p.check(c.ConfirmAfter == 0 || c.ConfirmAfter >= minDuration, "policy.confirm_after: must be at least %s, or 0, got %s", minDuration, c.ConfirmAfter)
	staged := []deployment.Way{deployment.WayBoot, deployment.WayReboot, deployment.WayHold}
	for _, v := range []struct {
		key   string
		way   deployment.Way
		known []deployment.Way
	}{
		{"policy.normal", c.Normal, append(staged, deployment.WaySwitch)},
		{"policy.reboot_needed", c.RebootNeeded, append(staged, deployment.WaySwitch)},
		{"policy.inhibited", c.Inhibited, staged},
	} {
		var names []string
		for _, w := range v.known {
			names = append(names, string(w))
		}
		p.check(slices.Contains(v.known, v.way), "%s: must be one of %s, got %q", v.key, strings.Join(names, ", "), v.way)
	}
}

// opens returns when a reboot may begin, seen from now.
func (c RebootConfig) opens(now time.Time) time.Time {
	next := c.Windows.Next(now)
	if next.IsZero() { // never, as far as is known
		return now.Add(24 * time.Hour)
	}
	return next
}

// boots returns c's part of a deployment's record.
func (c RebootConfig) boots() deployment.Boots {
	return deployment.Boots{Timeout: c.Timeout, Protected: c.RequireProtection, LastResort: c.LastResort}
}

// way says how a system that was fetched is brought into effect. The error is a
// [*closure.Rejection].
func (c Config) way(mode proto.Mode, f Fetched) (deployment.Way, error) {
	w := c.Policy.of(f)
	switch mode {
	case proto.ModeBoot:
		w = deployment.WayBoot
	case proto.ModeDryActivate:
		w = deployment.WayDry
	case proto.ModeTest:
		if len(f.Inhibitors) > 0 {
			return "", &closure.Rejection{Reason: proto.ReasonRebootNeeded, Err: fmt.Errorf(
				"it cannot be tested without a reboot, as it changes what must not change in a running system: %s", strings.Join(f.Inhibitors, ", "))}
		}
		w = deployment.WayTest
	case proto.ModeSwitch, "":
	}
	if w.Staged() || w == deployment.WayHold && len(f.Inhibitors) > 0 {
		return w, c.bootable(f)
	}
	return w, nil
}

// bootable returns why there must be no trial boot of a system, as a
// [*closure.Rejection].
func (c Config) bootable(f Fetched) error {
	if f.Unjudged != nil {
		return &closure.Rejection{Reason: proto.ReasonNoAgent, Err: f.Unjudged}
	}
	if c.Reboot.RequireProtection && f.Unprotected != "" {
		return &closure.Rejection{Reason: proto.ReasonUnprotected, Err: fmt.Errorf(
			"its trial boot could not be undone, and reboot.require_protection is set: %s", f.Unprotected)}
	}
	return nil
}

// wayOf is [Config.way] for d. A boot would not lead to another specialisation of
// what is proven, which is the boot default: that is switched to, or not at all.
func (c Config) wayOf(d deployment.Deployment, f Fetched) (deployment.Way, error) {
	w, err := c.way(d.Mode, f)
	if err != nil || !d.Respecialises() || !w.Staged() && (w != deployment.WayHold || len(f.Inhibitors) == 0) {
		return w, err
	}
	if len(f.Inhibitors) > 0 {
		return "", &closure.Rejection{Reason: proto.ReasonRebootNeeded, Err: fmt.Errorf(
			"boot its entry by hand: it changes what must not change in a running system: %s", strings.Join(f.Inhibitors, ", "))}
	}
	return deployment.WaySwitch, nil
}

// unheld is the way of what was held, once a person has confirmed it.
func unheld(d deployment.Deployment) deployment.Way {
	if len(d.Inhibitors) > 0 {
		return deployment.WayReboot
	}
	return deployment.WaySwitch
}

// of returns what the policy says of a system.
func (c PolicyConfig) of(f Fetched) deployment.Way {
	switch {
	case len(f.Inhibitors) > 0:
		return c.Inhibited
	case len(f.Reboot) > 0:
		return c.RebootNeeded
	default:
		return c.Normal
	}
}
