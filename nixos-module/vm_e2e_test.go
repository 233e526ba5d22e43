//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kedge/e2e/hosts"
)

// A vmTest is what tests/vm.nix says about one of the tests in VMs.
type vmTest struct {
	Script   string
	Machines map[string]struct {
		Units, Refusals, Brings []string
		Systems                 map[string]string // derivations, by name
		First                   string
	}
}

// TestVM looks at what can be seen of the tests in VMs where there is no nixpkgs and no KVM.
func TestVM(t *testing.T) {
	m := newMachine(t, "vm")
	libs := map[string]string{"": project + "/nixos-module/tests/lib.nix"}
	if dir := os.Getenv(nixpkgsLib); dir != "" {
		libs[", with the lib of nixpkgs"] = "/srv/nixpkgs-lib"
		if err := os.CopyFS(filepath.Join(m.Root(), "srv/nixpkgs-lib"), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	for with, lib := range libs {
		t.Run("they evaluate"+with, func(t *testing.T) { testVMTests(t, m, lib) })
	}
	t.Run("what they deploy is made anew", func(t *testing.T) { testVMFleet(t, m) })
}

func testVMTests(t *testing.T, m *hosts.Machine, lib string) {
	out, err := m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", "--arg", "lib", "import "+lib, project+"/nixos-module/tests/vm.nix")
	if err != nil {
		t.Fatal(err)
	}
	var tests map[string]vmTest
	if err := json.Unmarshal([]byte(out), &tests); err != nil {
		t.Fatal(err)
	}
	want := []string{"controller-restart", "converge", "demo", "new-agent", "rollback", "trial-boot", "two-controllers"}
	if got := slices.Sorted(maps.Keys(tests)); !slices.Equal(got, want) {
		t.Errorf("tests %q, want %q", got, want)
	}
	for name, test := range tests {
		requirePython(t, name, test.Script)
		units := []string{"basic.target", "multi-user.target", "broken.service"}
		for machine, got := range test.Machines {
			if len(got.Refusals) > 0 {
				t.Errorf("%s: %s is refused: %q", name, machine, got.Refusals)
			}
			for _, unit := range got.Units {
				units = append(units, unit+".service")
			}
			different := map[string]bool{got.First: true}
			for system, drv := range got.Systems {
				if different[drv] {
					t.Errorf("%s: system %s of %s is one that it runs anyway", name, system, machine)
				}
				different[drv] = true
				if !strings.Contains(test.Script, `"`+system+`"`) {
					t.Errorf("%s: system %s of %s is never deployed", name, system, machine)
				}
			}
		}
		for _, m := range regexp.MustCompile(`[a-z0-9-]+\.(?:service|target)`).FindAllString(test.Script, -1) {
			if !slices.Contains(units, m) {
				t.Errorf("%s: no machine has %s", name, m)
			}
		}
	}
}

// requirePython fails t unless a script is Python.
func requirePython(t *testing.T, name, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "python3", "-c", "import sys; compile(sys.stdin.read(), '"+name+".py', 'exec')")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s is no Python: %v\n%s", name, err, out)
	}
}

// testVMFleet builds the flake that the tests in VMs deploy, of a system that names itself.
func testVMFleet(t *testing.T, m *hosts.Machine) {
	t.Helper()
	nix := func(args ...string) string {
		t.Helper()
		out, err := m.RunOffline(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	const made = `
		mkdir -p /srv/tools/bin /srv/fleet
		ln -s /bin/bash /usr/bin/cp /usr/bin/chmod /usr/bin/grep /usr/bin/sed /srv/tools/bin/
		cp /srv/kedge/nixos-module/vm/fleet/flake.nix /srv/fleet/
		git init --quiet /srv/fleet
		nix-build --no-out-link -E 'derivation {
			name = "nixos-system-web1"; system = builtins.currentSystem; builder = "/bin/sh";
			args = [ "-c" "/usr/bin/mkdir -p $out/bin; echo exec $out/init > $out/bin/init; /usr/bin/ln -s /etc/hostname $out/link" ]; }'`
	system := nix("sh", "-euc", made)
	tools := nix("nix-store", "--add", "/srv/tools")
	fleet, err := json.Marshal(options{"system": "x86_64-linux", "tools": []string{tools}, "toplevels": options{"web1": system}, "kedge": options{"rollout": options{}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.WriteFile("/srv/fleet/fleet.json", fleet, 0o644); err != nil {
		t.Fatal(err)
	}
	nix("git", "-C", "/srv/fleet", "add", "--all")
	features := []string{"nix", "--extra-experimental-features", "nix-command flakes", "--offline"}
	rebuilt := nix(append(features, "build", "--no-link", "--print-out-paths", "/srv/fleet#nixosConfigurations.web1.config.system.build.toplevel")...)
	if rebuilt == system || len(rebuilt) != len(system) {
		t.Errorf("made %s of %s, want another path as long", rebuilt, system)
	}
	if got, want := nix("cat", rebuilt+"/bin/init"), "exec "+rebuilt+"/init"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	if got := nix("nix-store", "--query", "--references", rebuilt); strings.Contains(got, system) {
		t.Errorf("it still needs what it was made of: %s", got)
	}
	if got := nix("readlink", rebuilt+"/link"); got != "/etc/hostname" {
		t.Errorf("its link leads to %s", got)
	}
}
