//go:build host

package cli

import (
	"bytes"
	"os"
	"os/exec"
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

// TestCheckOfARealFile: of what git knows, if it is git's, and purely.
func TestCheckOfARealFile(t *testing.T) {
	const file = `{ tag ? "web" }: { hosts = { web1 = throw "not asked for"; }; kedge.hosts.web1.tags = [ tag ]; @MORE@ }`
	for name, c := range map[string]struct {
		more  string
		git   bool
		flags []string
		code  int
		want  string
	}{
		"a directory":          {"", false, []string{"--attribute", "hosts"}, ExitOK, "all   web1"},
		"a repository":         {"", true, []string{"--attribute", "hosts"}, ExitOK, "all   web1"},
		"no such attribute":    {"", false, nil, ExitError, "fleet.nix has no attribute nixosConfigurations"},
		"a wrong output":       {`kedge.rolout = { };`, false, []string{"--attribute", "hosts"}, ExitError, `did you mean "rollout"?`},
		"an impure one":        {`kedge.rollout.freeze = builtins.readFile /etc/hostname;`, false, []string{"--attribute", "hosts"}, ExitError, "pure evaluation mode"},
		"what git knows not":   {`kedge.rollout.freeze = builtins.readFile ./unknown;`, true, []string{"--attribute", "hosts"}, ExitError, "unknown"},
		"what is there":        {`kedge.rollout.freeze = builtins.readFile ./unknown;`, false, []string{"--attribute", "hosts"}, ExitOK, "nothing new goes out: the fair"},
		"a directory, as JSON": {"", false, []string{"--attribute", "hosts", "--json"}, ExitOK, `"web1"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text := strings.ReplaceAll(file, "@MORE@", c.more)
			if err := os.WriteFile(filepath.Join(dir, "fleet.nix"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.git {
				for _, args := range [][]string{{"init", "--quiet"}, {"add", "--all"}} {
					if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
						t.Fatalf("git %v: %v\n%s", args, err, out)
					}
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "unknown"), []byte("the fair"), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout bytes.Buffer
			err := Run(t.Context(), Options{Stdout: &stdout, Stderr: t.Output(), Getenv: os.Getenv}, append([]string{"check", "--file", "fleet.nix", dir}, c.flags...))
			said := stdout.String()
			if err != nil {
				said += Message(err)
			}
			if ExitCode(err) != c.code || !strings.Contains(said, c.want) {
				t.Errorf("got exit code %d and %q, want %d and %q", ExitCode(err), said, c.code, c.want)
			}
		})
	}
	requireNothingLeft(t)
}

// TestCheckOfRealSubmodules: they are there if they are asked for.
func TestCheckOfRealSubmodules(t *testing.T) {
	dir, lib := t.TempDir(), t.TempDir()
	git := func(in string, args ...string) {
		t.Helper()
		out, err := exec.Command("git", append([]string{"-C", in, "-c", "protocol.file.allow=always", "-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	for file, text := range map[string]string{
		filepath.Join(lib, "tags.nix"):  `[ "from-a-submodule" ]`,
		filepath.Join(dir, "fleet.nix"): `{ nixosConfigurations.web1 = throw "not asked for"; kedge.hosts.web1.tags = import ./lib/tags.nix; }`,
		filepath.Join(dir, "flake.nix"): `{ outputs = _: import ./fleet.nix; }`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, in := range []string{lib, dir} {
		git(in, "init", "--quiet")
		git(in, "add", "--all")
	}
	git(lib, "commit", "--quiet", "--message=x")
	git(dir, "submodule", "--quiet", "add", lib, "lib")
	git(dir, "commit", "--quiet", "--message=x")
	for name, c := range map[string]struct {
		flags []string
		code  int
		want  string
	}{
		"a file with them":     {[]string{"--file", "fleet.nix", "--submodules"}, ExitOK, "from-a-submodule"},
		"a file without them":  {[]string{"--file", "fleet.nix"}, ExitError, "lib/tags.nix"},
		"a flake with them":    {[]string{"--submodules"}, ExitOK, "from-a-submodule"},
		"a flake without them": {nil, ExitError, "lib/tags.nix"},
	} {
		var stdout bytes.Buffer
		err := Run(t.Context(), Options{Stdout: &stdout, Stderr: t.Output(), Getenv: os.Getenv}, append([]string{"check", "--json", dir}, c.flags...))
		said := stdout.String()
		if err != nil {
			said += Message(err)
		}
		if ExitCode(err) != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%s: got exit code %d and %q, want %d and %q", name, ExitCode(err), said, c.code, c.want)
		}
	}
	requireNothingLeft(t)
}

func requireNothingLeft(t *testing.T) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "kedge-check-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
