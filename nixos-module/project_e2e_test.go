//go:build e2e

package nixosmodule_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

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
		info, err := os.Stat(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // git still has it
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, info.Mode().Perm()); err != nil {
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
