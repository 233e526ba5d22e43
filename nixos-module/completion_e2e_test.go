//go:build e2e

package nixosmodule_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestThePackageGetsCompletions: what package.nix installs is what the programs print, without a
// configuration and without a home.
func TestThePackageGetsCompletions(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "./cmd/...")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, program := range []string{"kedge", "kedge-agent", "kedge-controller"} {
		for _, shell := range []string{"bash", "zsh", "fish"} {
			cmd := exec.CommandContext(t.Context(), filepath.Join(bin, program), "completion", shell)
			cmd.Env = []string{"HOME=/homeless-shelter"}
			out, err := cmd.Output()
			if err != nil || !strings.Contains(string(out), program) {
				t.Errorf("%s completion %s: error %v, printed %q", program, shell, err, out)
			}
			if shell != "bash" {
				continue
			}
			check := exec.CommandContext(t.Context(), "bash", "-n")
			check.Stdin = strings.NewReader(string(out))
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("bash does not take the completions of %s: %v\n%s", program, err, out)
			}
		}
	}
}
