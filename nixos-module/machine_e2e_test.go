//go:build e2e

package nixosmodule_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kedge/e2e/hosts"
)

// project is where a machine has the project's files.
const project = "/srv/kedge"

// newMachine returns a machine that is off, for the Nix on its disk. The project's files are there.
func newMachine(t *testing.T, name string) *hosts.Machine {
	t.Helper()
	dir, err := hosts.Prepare(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	n, err := hosts.New(t.Context(), hosts.NetworkOptions{Fleet: "module-test-" + name, Rootfs: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Destroy(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	m, err := n.Machine(t.Context(), hosts.Options{Name: "nix"})
	if err != nil {
		t.Fatal(err)
	}
	copyFiles(t, filepath.Join(m.Root(), project), projectFiles(t))
	return m
}

// projectFiles returns the names of the project's files, below root: what git has, or would.
func projectFiles(t *testing.T) []string {
	t.Helper()
	out := run(t, root, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
}

// copyFiles copies the project's files with these names into a directory.
func copyFiles(t *testing.T, dir string, names []string) {
	t.Helper()
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // git still has it
		}
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a program in a directory, as the other tests run it, and returns its standard output.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
