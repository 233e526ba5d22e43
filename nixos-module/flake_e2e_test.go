//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNixFilesParse(t *testing.T) {
	m := newMachine(t, "parse")
	args := []string{"nix-instantiate", "--parse"}
	for _, name := range nixFiles(t) {
		args = append(args, path.Join(project, name))
	}
	if _, err := m.RunOffline(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
}

// TestFlake evaluates the flake with what stands in for nixpkgs. Nothing is built.
func TestFlake(t *testing.T) {
	m := newMachine(t, "flake")
	nix := func(attribute string, args ...string) string {
		t.Helper()
		args = append([]string{"nix", "--extra-experimental-features", "nix-command flakes", "--offline"}, args...)
		args = append(args, "--no-write-lock-file", "--override-input", "nixpkgs", "path:"+project+"/nixos-module/tests", "path:"+project+attribute)
		out, err := m.RunOffline(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}

	t.Run("its outputs are what Nix knows", func(t *testing.T) { nix("", "flake", "check", "--all-systems", "--no-build") })

	t.Run("its outputs are there for both systems", func(t *testing.T) {
		// An output is a set of outputs, or has type and perhaps name.
		var got map[string]any
		if err := json.Unmarshal([]byte(nix("", "flake", "show", "--all-systems", "--json")), &got); err != nil {
			t.Fatal(err)
		}
		type set = map[string]any
		derivation := func(name, description string) set {
			return set{"type": "derivation", "name": name, "description": description}
		}
		both := func(v set) set { return set{"x86_64-linux": v, "aarch64-linux": v} }
		kedge := derivation("kedge", "Continuous delivery for NixOS fleets: hosts pull, prove and roll back by themselves")
		checks := set{}
		for _, name := range []string{"controller-restart", "converge", "new-agent", "rollback", "trial-boot", "two-controllers"} {
			checks[name] = derivation("vm-test-run-kedge-"+name, "")
		}
		demo := set{"type": "app", "description": "A build host and two hosts, in virtual machines: pushes, one that fails, a power cut"}
		want := set{
			"apps":      both(set{"demo": demo}),
			"checks":    both(checks),
			"packages":  both(set{"default": kedge, "kedge": kedge, "kedge-agent": kedge}),
			"devShells": both(set{"default": derivation("shell", "")}),
			"formatter": both(derivation("nixfmt-tree", "")),
			"templates": set{
				"ci":      set{"type": "template", "description": "A fleet for which CI builds, and signs with keys of its own"},
				"default": set{"type": "template", "description": "A fleet with a build host, waves, checks and a reboot window"},
			},
			"lib":      set{"type": "unknown"},
			"overlays": set{"default": set{"type": "nixpkgs-overlay"}},
			"nixosModules": set{
				"agent":      set{"type": "nixos-module"},
				"controller": set{"type": "nixos-module"},
				"default":    set{"type": "nixos-module"},
				"monitoring": set{"type": "nixos-module"},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("outputs (-want +got):\n%s", diff)
		}
	})

	t.Run("its packages name the programs that they have", func(t *testing.T) {
		got := nix("#packages.x86_64-linux", "eval", "--json", "--apply", "builtins.mapAttrs (_: package: package.meta.mainProgram)")
		if want := `{"default":"kedge","kedge":"kedge","kedge-agent":"kedge-agent"}`; strings.TrimSpace(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})

	t.Run("its modules bring what the service needs, for the host's system", func(t *testing.T) {
		out, err := m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", project+"/nixos-module/tests/imported.nix")
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]map[string]string
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]map[string]string{
			"x86_64-linux":  {"agent": "x86_64-linux agent", "controller": "x86_64-linux out"},
			"aarch64-linux": {"agent": "aarch64-linux agent", "controller": "aarch64-linux out"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("packages (-want +got):\n%s", diff)
		}
	})
}
