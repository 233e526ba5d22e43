package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPrepareSaysThatGoIsTooOld: who has Debian 12's Go, or none, is told so before anything else happens. What fell over
// it was a line about go.mod, after half a minute of installing other things.
func TestPrepareSaysThatGoIsTooOld(t *testing.T) {
	script, err := filepath.Abs("../.ci/prepare")
	if err != nil {
		t.Fatal(err)
	}
	for version, ok := range map[string]bool{"": false, "go1.9": false, "go1.19.8": false, "go1.20": false, "go1.21.0": true, "go1.26.8": true, "go1.100": true, "go2.0": true} {
		bin := t.TempDir()
		programs := []string{"git", "gpg", "curl", "jq", "python3"}
		if version != "" {
			programs = append(programs, "go")
		}
		for _, name := range programs {
			if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho go version "+version+" linux/amd64\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"cut", "sh"} {
			path, err := exec.LookPath(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
				t.Fatal(err)
			}
		}
		prepare := exec.CommandContext(t.Context(), "sh", script)
		prepare.Env = []string{"PATH=" + bin}
		said, err := prepare.CombinedOutput()
		if (err == nil) != ok || !ok && !strings.Contains(string(said), "install Go 1.21") {
			t.Errorf("with %q: %v, %s", version, err, said)
		}
	}
}
