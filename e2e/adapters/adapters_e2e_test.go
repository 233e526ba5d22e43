//go:build e2e

package adapters_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/e2e/hosts"
	"kedge/e2e/rootfs"
)

func TestAdaptersInAHost(t *testing.T) {
	m := host(t)
	for _, pkg := range []string{
		"kedge/internal/nix",
		"kedge/agent/internal/systemd",
		"kedge/agent/internal/closure",
		"kedge/agent/internal/profile",
		"kedge/agent/internal/health",
	} {
		t.Run(path.Base(pkg), func(t *testing.T) {
			program := "/root/" + path.Base(pkg) + ".test"
			if err := m.WriteFile(program, compile(t, pkg), 0o755); err != nil {
				t.Fatal(err)
			}
			out, err := m.Run(t.Context(), program, "-test.v", "-test.run=^TestReal", "-test.timeout=3m")
			t.Log(out)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out, "--- PASS: TestReal") {
				t.Error("no test ran")
			}
		})
	}
}

// compile returns the test program of a package, static, as a host needs it.
func compile(t *testing.T, pkg string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags=host", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile tests of %s: %v: %s", pkg, err, out)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// host returns a host that has booted.
func host(t *testing.T) *hosts.Machine {
	t.Helper()
	ctx := t.Context()
	progress := func(line string) { t.Log(line) }
	if err := rootfs.EnsureTools(ctx, progress); err != nil {
		t.Fatal(err)
	}
	dir, err := rootfs.Ensure(ctx, progress)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	network, err := hosts.New(ctx, hosts.NetworkOptions{Fleet: "adapters", Rootfs: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := network.Destroy(ctx); err != nil {
			t.Error(err)
		}
	})
	m, err := network.Machine(ctx, hosts.Options{Name: "adapter"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.AwaitBoot(ctx); err != nil {
		t.Fatal(err)
	}
	return m
}
