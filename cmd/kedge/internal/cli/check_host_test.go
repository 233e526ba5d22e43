//go:build host

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// realFlake is one whose hosts cannot be evaluated, and need not be; and in which a
// package is called as the output is.
const realFlake = `{ outputs = _: {
  nixosConfigurations = { web1 = throw "not asked for"; web2 = throw "not asked for"; };
  packages.x86_64-linux.kedge = throw "not asked for";
  @KEDGE@
}; }`

func TestCheckOfARealFlake(t *testing.T) {
	for name, c := range map[string]struct {
		kedge string
		code  int
		want  string
	}{
		"no output":       {"", ExitOK, "all   web1 web2"},
		"a good one":      {`kedge.rollout.waves = [ { name = "first"; hosts = "web1"; } ];`, ExitOK, "first  web1   -       -          -     failed 0  -\nrest   web2"},
		"a wrong one":     {`kedge.rollout.waves = [ { name = "first"; hosts = "tag:first"; } ];`, ExitError, `kedge.rollout.waves[0].hosts: no host has the tag "first"`},
		"one that throws": {`kedge = throw "not today";`, ExitError, "not today"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text := strings.ReplaceAll(realFlake, "@KEDGE@", c.kedge)
			if err := os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout bytes.Buffer
			err := Run(t.Context(), Options{Stdout: &stdout, Stderr: t.Output(), Getenv: os.Getenv}, []string{"check", dir})
			said := stdout.String()
			if err != nil {
				said += Message(err)
			}
			if ExitCode(err) != c.code || !strings.Contains(said, c.want) {
				t.Errorf("got exit code %d and %q, want %d and %q", ExitCode(err), said, c.code, c.want)
			}
		})
	}
}
