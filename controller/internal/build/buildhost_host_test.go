//go:build host

package build

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kedge/e2e/sshd"
	"kedge/internal/nix"
	"kedge/proto"
)

// buildHost starts an SSH server whose sessions have a Nix of their own, with its store in
// the returned directory. It ends with the test, or with stop.
func buildHost(t *testing.T) (h nix.SSHStore, store string, stop func()) {
	t.Helper()
	s, err := sshd.Start(t.Context(), t.TempDir(), "")
	must(t, err)
	t.Cleanup(s.Stop)
	return s.Store, s.Dir, s.Stop
}

// elsewhereBuilder is realBuilder with a build host.
func elsewhereBuilder(t *testing.T, h nix.SSHStore) *Builder {
	t.Helper()
	b := realBuilder(t)
	b.o.Nix = &nix.Remote{CLI: &nix.CLI{Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}, Host: h}
	return b
}

// heard shows what a build says.
func heard(t *testing.T) nix.LogFunc {
	return func(derivation, line string) { t.Logf("%s> %s", derivation, line) }
}

const armHost = `arm.config.system.build.toplevel = derivation {
  name = "nixos-system-arm-@NOW@"; system = "aarch64-linux"; builder = "/bin/sh"; args = [ "-c" "echo >$out" ]; };`

// TestRealBuildHost evaluates here and builds there; some hosts fail, and one is of a
// system that nobody builds for.
func TestRealBuildHost(t *testing.T) {
	h, store, stop := buildHost(t)
	b := elsewhereBuilder(t, h)
	evaluations, err := b.Evaluate(t.Context(), flake(t, realHosts, strings.ReplaceAll(armHost, "@NOW@", "1")))
	must(t, err)
	builds, err := b.Build(t.Context(), evaluations, heard(t))
	must(t, err)
	for _, good := range []string{"web1", "1db"} {
		p := builds.Toplevels[host(t, good)]
		if err := CheckToplevel(p); err != nil || p.IsZero() {
			t.Errorf("%s: got %q: %v", good, p, err)
			continue
		}
		if _, err := os.Stat(filepath.Join(store, p.Base())); err != nil {
			t.Errorf("%s was not built there: %v", good, err)
		}
	}
	for name, want := range map[string]struct {
		reason proto.Reason
		text   string
	}{
		"fails":        {proto.ReasonBuildFailed, "> boom"},
		"depends":      {proto.ReasonBuildFailed, "> no such header"},
		"not-a-system": {proto.ReasonNotAToplevel, "bin/switch-to-configuration"},
		"arm":          {proto.ReasonNoBuilder, "aarch64-linux"},
	} {
		failed := builds.Failed[host(t, name)]
		if failed == nil || failed.Reason != want.reason || !strings.Contains(failed.Error(), want.text) {
			t.Errorf("%s: got %v, want %s with %q", name, failed, want.reason, want.text)
		}
	}

	stop()
	again, err := b.Evaluate(t.Context(), flake(t, realHosts, ""))
	must(t, err)
	if _, err := b.Build(t.Context(), again, heard(t)); !errors.Is(err, nix.ErrUnreachable) {
		t.Errorf("without the build host: error = %v, want %v", err, nix.ErrUnreachable)
	}
	good := map[proto.HostName]Evaluation{host(t, "web1"): evaluations.Hosts[host(t, "web1")]}
	restarted := elsewhereBuilder(t, h)
	if builds, err := restarted.Build(t.Context(), Evaluations{Hosts: good}, heard(t)); err != nil || len(builds.Toplevels) != 1 {
		t.Errorf("what is here already: got %+v, %v; want it though the build host is away", builds, err)
	}
}

// TestRealSystemThatNobodyBuildsFor is TestRealBuildHost's arm, built here.
func TestRealSystemThatNobodyBuildsFor(t *testing.T) {
	b := realBuilder(t)
	evaluations, err := b.Evaluate(t.Context(), flake(t, realHosts, strings.ReplaceAll(armHost, "@NOW@", "2")))
	must(t, err)
	builds, err := b.Build(t.Context(), evaluations, heard(t))
	must(t, err)
	failed := builds.Failed[host(t, "arm")]
	if len(builds.Toplevels) != 2 || failed == nil || failed.Reason != proto.ReasonNoBuilder {
		t.Errorf("built %v, arm: %v; want the others, and %s", builds.Toplevels, failed, proto.ReasonNoBuilder)
	}
	if failed := builds.Failed[host(t, "fails")]; failed == nil || !strings.Contains(failed.Error(), "> boom") {
		t.Errorf("fails: got %v, want its own reason", failed)
	}
}

// TestRealBuildsEndWithTheirContext looks for the builder's process afterwards, which
// holds a lock while it lives.
func TestRealBuildsEndWithTheirContext(t *testing.T) {
	h, _, _ := buildHost(t)
	for name, b := range map[string]*Builder{"here": realBuilder(t), "there": elsewhereBuilder(t, h)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			begun, lock := filepath.Join(dir, "begun"), filepath.Join(dir, "lock")
			must(t, syscall.Mkfifo(begun, 0o600))
			slow := `slow = host "slow" "exec 9>` + lock + `; flock 9; echo >` + begun + `; sleep 1000";`
			evaluations, err := b.Evaluate(t.Context(), flake(t, realHosts, slow))
			must(t, err)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			ended := make(chan error, 1)
			go func() {
				_, err := b.Build(ctx, Evaluations{Hosts: map[proto.HostName]Evaluation{host(t, "slow"): evaluations.Hosts[host(t, "slow")]}}, heard(t))
				ended <- err
			}()
			_, err = os.ReadFile(begun) // waits for the builder
			must(t, err)
			superseded := errors.New("superseded")
			cancel(superseded)
			if err := <-ended; !errors.Is(err, superseded) {
				t.Errorf("error = %v, want %v", err, superseded)
			}
			waiting, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			if out, err := exec.CommandContext(waiting, "flock", lock, "true").CombinedOutput(); err != nil {
				t.Errorf("the builder lives on: %v\n%s", err, out)
			}
		})
	}
}
