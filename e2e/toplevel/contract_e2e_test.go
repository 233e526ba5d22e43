//go:build e2e

package toplevel_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"kedge/e2e/toplevel"
)

// systems are the configurations of the test's fleet, all for the same machine.
func systems(agent string) map[string]toplevel.Host {
	with := func(change func(*toplevel.Host)) toplevel.Host {
		h := toplevel.Host{
			Agent: agent, AgentConfig: "{}\n", App: &toplevel.App{Text: "new"},
			Inhibitors: map[string]string{"dbus-implementation": "dbus"},
		}
		change(&h)
		return h
	}
	unit := func(u toplevel.Unit) toplevel.Host {
		return with(func(h *toplevel.Host) { h.Units = map[string]toplevel.Unit{"x.service": u} })
	}
	snippet := func(text string) toplevel.Host {
		return with(func(h *toplevel.Host) { h.Activation = map[string]string{"broken": text} })
	}
	return map[string]toplevel.Host{
		"old":          with(func(h *toplevel.Host) { h.App.Text = "old" }),
		"new":          with(func(*toplevel.Host) {}),
		"unregistered": with(func(h *toplevel.Host) { h.App.Text = "no generation of the profile" }),
		"failing":      unit(toplevel.FailsToStart("cannot open the database", "it's 100% gone")),
		"dying":        unit(toplevel.DiesAfter(time.Minute)),
		"flapping":     unit(toplevel.Flaps(time.Minute, 5*time.Second)),
		"slow":         unit(toplevel.StartsSlowly(3 * time.Second)),
		"stubborn":     unit(toplevel.IgnoresStop(3 * time.Second)),
		"snippet":      snippet("false"),
		"exit7":        snippet("exit 7"),
		"naps":         snippet("touch /run/napping; sleep 3; rm /run/napping"),
		"both": with(func(h *toplevel.Host) {
			h.Activation = map[string]string{"broken": "false"}
			h.Units = map[string]toplevel.Unit{"x.service": toplevel.FailsToStart()}
		}),
		"refusing":  with(func(h *toplevel.Host) { h.PreSwitchChecks = map[string]string{"refuse": "echo no >&2; false"} }),
		"inhibited": with(func(h *toplevel.Host) { h.Inhibitors = map[string]string{"dbus-implementation": "broker"} }),
		"interface": with(func(h *toplevel.Host) { h.InitInterface = "systemd 3" }),
		"conf":      with(func(h *toplevel.Host) { h.SystemConf = "DefaultTimeoutStopSec=30\n" }),
		"agentless": with(func(h *toplevel.Host) { h.Agent = "" }),
		"nomount": unit(toplevel.Unit{
			Text:       "[Unit]\nDefaultDependencies=no\nBefore=local-fs.target\n[Service]\nType=oneshot\nExecStart=/bin/false\n",
			RequiredBy: []string{"local-fs.target"},
		}),
	}
}

// TestContract goes through the table "Observed" of the activation contract.
func TestContract(t *testing.T) {
	b := newBench(t, "contract")
	tests := []struct {
		name   string
		system string
		action string
		env    string
		set    bool // the profile names the system before, as after nix-env --set
		before func(ctx context.Context)

		code    int
		said    string // in the output
		current string // afterwards
		boot    string // the boot default afterwards
		app     string // what it answers afterwards
	}{
		{name: "one service changed", system: "new", action: "switch", set: true, said: "stopping the following units: app.service", current: "new", boot: "new", app: "new"},
		{name: "nothing changed", system: "old", action: "switch", set: true, said: "activating the configuration...", current: "old", boot: "old", app: "old"},
		{name: "check", system: "new", action: "check", set: true, said: "Checking switch inhibitors... done", current: "old", boot: "old", app: "old"},
		{name: "dry-activate", system: "new", action: "dry-activate", set: true, said: "would start the following units: app.service", current: "old", boot: "old", app: "old"},
		{name: "boot", system: "new", action: "boot", set: true, current: "old", boot: "new", app: "old"},
		{name: "boot of no generation", system: "unregistered", action: "boot", current: "old", boot: "old", app: "old"},
		{name: "test", system: "new", action: "test", current: "new", boot: "old", app: "new"},
		{name: "start job fails", system: "failing", action: "switch", set: true, code: 4, said: "it's 100% gone", current: "failing", boot: "failing", app: "new"},
		{name: "service dies later", system: "dying", action: "switch", set: true, said: "the following new units were started: x.service", current: "dying", boot: "dying", app: "new"},
		{name: "service flaps", system: "flapping", action: "switch", set: true, current: "flapping", boot: "flapping", app: "new"},
		{name: "start takes long", system: "slow", action: "switch", set: true, current: "slow", boot: "slow", app: "new"},
		{name: "snippet fails", system: "snippet", action: "switch", set: true, code: 2, said: "Failed to run activate script", current: "snippet", boot: "snippet", app: "new"},
		{name: "snippet exits", system: "exit7", action: "switch", set: true, code: 2, said: "Failed to run activate script", current: "old", boot: "exit7", app: "new"},
		{name: "failing unit hides failing snippet", system: "both", action: "switch", set: true, code: 4, said: "Activation script snippet 'broken' failed (1)", current: "both", boot: "both", app: "new"},
		{name: "check refuses", system: "refusing", action: "switch", set: true, code: 1, said: "Pre-switch check 'refuse' failed", current: "old", boot: "old", app: "old"},
		{name: "inhibitor", system: "inhibited", action: "switch", set: true, code: 1, said: "dbus-implementation : dbus -> broker", current: "old", boot: "old", app: "old"},
		{name: "inhibitor and check", system: "inhibited", action: "check", code: 1, said: "Pre-switch checks failed", current: "old", boot: "old", app: "old"},
		{name: "inhibitor and dry-activate", system: "inhibited", action: "dry-activate", code: 1, said: "Pre-switch checks failed", current: "old", boot: "old", app: "old"},
		{name: "inhibitor overridden", system: "inhibited", action: "switch", env: "NIXOS_NO_CHECK=1", set: true, current: "inhibited", boot: "inhibited", app: "new"},
		{name: "inhibitor not overridden by another value", system: "inhibited", action: "switch", env: "NIXOS_NO_CHECK=yes", code: 1, current: "old", boot: "old", app: "old"},
		{name: "boot of an inhibited one", system: "inhibited", action: "boot", set: true, current: "old", boot: "inhibited", app: "old"},
		{
			name: "boot loader fails", system: "new", action: "switch", set: true, code: 1, said: "Failed to install bootloader", current: "old", boot: "old", app: "old",
			before: func(ctx context.Context) { b.must(ctx, "touch", "/boot/e2e-fail") },
		},
		{name: "other init interface, switch", system: "interface", action: "switch", set: true, code: 100, said: "won't take effect until you reboot", current: "old", boot: "interface", app: "old"},
		{name: "other init interface, test", system: "interface", action: "test", code: 100, current: "old", boot: "old", app: "old"},
		{name: "system.conf changed", system: "conf", action: "switch", set: true, said: "restarting systemd...", current: "conf", boot: "conf", app: "new"},
		{name: "agent removed", system: "agentless", action: "switch", set: true, said: "removing obsolete symlink ‘/etc/kedge/agent.yaml’...", current: "agentless", boot: "agentless", app: "new"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := b.reset(t)
			if tt.before != nil {
				tt.before(ctx)
			}
			if tt.set {
				b.setProfile(ctx, tt.system)
			}
			code, said := b.activate(ctx, tt.system, tt.action, tt.env)
			if code != tt.code || !strings.Contains(said, tt.said) {
				t.Errorf("%s %s: exit code %d, want %d and %q in the output:\n%s", tt.system, tt.action, code, tt.code, tt.said, said)
			}
			b.check(ctx, t, state{Current: tt.current, Boot: tt.boot, App: tt.app})
			if active := b.isActive(ctx, "kedge-agent.service"); !active {
				t.Error("the agent was stopped")
			}
		})
	}

	t.Run("a removed service that ignores its stop holds the switch up", func(t *testing.T) {
		ctx := b.reset(t)
		b.activate(ctx, "stubborn", "test", "")
		started := time.Now()
		if code, said := b.activate(ctx, "old", "test", ""); code != 0 {
			t.Errorf("exit code %d, want 0:\n%s", code, said)
		}
		if took := time.Since(started); took < 3*time.Second {
			t.Errorf("the switch took %s, want it to wait for the service to be killed after 3 s", took)
		}
	})
}
