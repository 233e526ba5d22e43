//go:build e2e

package nixosmodule_test

import (
	"context"
	"log/slog"
	"path/filepath"
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
