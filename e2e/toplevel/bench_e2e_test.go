//go:build e2e

package toplevel_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kedge/e2e/hosts"
	"kedge/e2e/internal/command"
	"kedge/e2e/toplevel"
)

const (
	profile     = "/nix/var/nix/profiles/system"
	bootTimeout = time.Minute
	rowTimeout  = 2 * time.Minute
)

// A bench is a machine that has all systems in its store and "old" installed.
type bench struct {
	t         *testing.T
	m         *hosts.Machine
	toplevels map[string]string
}

// newMachine makes a machine that is off, alone in its network, until the test ends.
func newMachine(t *testing.T, name string) *hosts.Machine {
	t.Helper()
	root, err := hosts.Prepare(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	n, err := hosts.New(t.Context(), hosts.NetworkOptions{Fleet: "toplevel-test-" + name, Rootfs: root, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Destroy(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	m, err := n.Machine(t.Context(), hosts.Options{Name: "web1"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newBench(t *testing.T, name string) *bench {
	t.Helper()
	b := &bench{t: t, m: newMachine(t, name)}
	b.install(t.Context())
	b.powerCycle(t.Context())
	return b
}

// install puts every system into the store of the machine's disk and makes "old" the one it boots.
func (b *bench) install(ctx context.Context) {
	b.t.Helper()
	tools := filepath.Join(b.t.TempDir(), "kedge-stand-in")
	if err := toplevel.BuildTools(ctx, tools); err != nil {
		b.t.Fatal(err)
	}
	agent := filepath.Join(b.t.TempDir(), "kedge-agent-0")
	if err := os.MkdirAll(filepath.Join(agent, "bin"), 0o755); err != nil {
		b.t.Fatal(err)
	}
	script := "#!/bin/sh\nsystemd-notify --ready\nexec sleep infinity\n"
	if err := os.WriteFile(filepath.Join(agent, "bin/kedge-agent"), []byte(script), 0o755); err != nil {
		b.t.Fatal(err)
	}
	toolsPath, err := toplevel.AddToStore(ctx, b.m, tools)
	if err != nil {
		b.t.Fatal(err)
	}
	agentPath, err := toplevel.AddToStore(ctx, b.m, agent)
	if err != nil {
		b.t.Fatal(err)
	}
	fleet := toplevel.Fleet{Tools: toolsPath, Hosts: systems(agentPath)}
	if b.toplevels, err = toplevel.Build(ctx, b.m, fleet); err != nil {
		b.t.Fatal(err)
	}
	if _, err := toplevel.Install(ctx, b.m, fleet, "old"); err != nil {
		b.t.Fatal(err)
	}
}

// reset brings the machine back to "old", whatever happened to it, and returns a context for a row.
func (b *bench) reset(t *testing.T) context.Context {
	t.Helper()
	b.t = t
	ctx, cancel := context.WithTimeout(t.Context(), rowTimeout)
	t.Cleanup(cancel)
	b.must(ctx, "rm", "-f", "/boot/e2e-fail")
	b.setProfile(ctx, "old")
	if code, said := b.activate(ctx, "old", "switch", "NIXOS_NO_CHECK=1"); code != 0 {
		t.Fatalf("reset: exit code %d:\n%s", code, said)
	}
	return ctx
}

// must runs a program on the machine and returns its output.
func (b *bench) must(ctx context.Context, argv ...string) string {
	b.t.Helper()
	out, err := b.m.Run(ctx, argv...)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) setProfile(ctx context.Context, system string) {
	b.t.Helper()
	b.must(ctx, "nix-env", "-p", profile, "--set", b.toplevels[system])
}

// activate runs the system's switch-to-configuration to its end.
func (b *bench) activate(ctx context.Context, system, action, env string) (code int, said string) {
	b.t.Helper()
	argv := []string{"sh", "-c", `exec "$0" "$@" 2>&1`, b.toplevels[system] + "/bin/switch-to-configuration", action}
	if env != "" {
		argv = append([]string{"env", env}, argv...)
	}
	said, err := b.m.Run(ctx, argv...)
	if e, ok := errors.AsType[*command.Error](err); ok {
		return e.Code, said
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return 0, said
}

// start runs the system's switch-to-configuration beside the test, its process id in /run/stc.pid.
func (b *bench) start(ctx context.Context, system, action string) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := b.m.Run(ctx, "sh", "-c", `echo $$ > /run/stc.pid; exec "$0" "$@" 2>&1`, b.toplevels[system]+"/bin/switch-to-configuration", action)
		ended <- err
	}()
	return ended
}

// await waits until the machine has the file.
func (b *bench) await(ctx context.Context, file string) {
	b.t.Helper()
	b.must(ctx, "sh", "-c", `while ! test -e "$0"; do sleep 0.05; done`, file)
}

func (b *bench) powerCycle(ctx context.Context) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := b.m.PowerCut(ctx); err != nil {
		b.t.Fatal(err)
	}
	if err := b.m.PowerOn(ctx); err != nil {
		b.t.Fatal(err)
	}
	if err := b.m.AwaitBoot(ctx); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) isActive(ctx context.Context, unit string) bool {
	_, err := b.m.Run(ctx, "systemctl", "is-active", unit)
	return err == nil
}
