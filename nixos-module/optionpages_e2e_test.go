//go:build e2e

package nixosmodule_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/e2e/hosts"
	"kedge/internal/manual"
)

// A page is one of the pages of options in docs/reference.
type page struct{ title, about string }

func optionPages() map[string]page {
	const written = "\n\nThis page is written by `make manual`."
	return map[string]page{
		"agent":      {"Options of services.kedge-agent", "The NixOS module of the agent, `nixosModules.agent`. What is below `settings` is also what [its configuration file](kedge-agent.md) may have, by the same names." + written},
		"controller": {"Options of services.kedge-controller", "The NixOS module of the controller, `nixosModules.controller`. What is below `settings` is also what [its configuration file](kedge-controller.md) may have, by the same names." + written},
		"monitoring": {"Options of services.kedge-monitoring", "The NixOS module of a host that watches a fleet, `nixosModules.monitoring`." + written},
		"fleet":      {"Options of a fleet", "The flake's output `kedge`, and what `lib.mkFleet` takes; [Rollouts](../rollouts.md) tells of them." + written},
	}
}

// TestTheReferenceHasEveryOption: docs/reference is what the modules say of their options, and nixpkgs' module
// system finds the same in them.
func TestTheReferenceHasEveryOption(t *testing.T) {
	m := newMachine(t, "options")
	documented := documentedOptions(t, m, project+"/nixos-module/tests/lib.nix")
	for name, p := range optionPages() {
		got, err := manual.Options(p.title, p.about, documented[name])
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(root, "docs/reference/options-"+name+".md")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the modules say (%v); run `make manual`", file, err)
		}
	}

	dir := os.Getenv(nixpkgsLib)
	if dir == "" {
		return
	}
	if err := os.CopyFS(filepath.Join(m.Root(), "srv/nixpkgs-lib"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for name, want := range documentedOptions(t, m, "/srv/nixpkgs-lib") {
		if diff := cmp.Diff(bare(want), bare(documented[name])); diff != "" {
			t.Errorf("options of %s (-with the lib of nixpkgs +with ours):\n%s", name, diff)
		}
	}
}

// documentedOptions returns what there is to read about options, by page.
func documentedOptions(t *testing.T, m *hosts.Machine, lib string) map[string][]manual.Option {
	t.Helper()
	out, err := m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", "--arg", "lib", "import "+lib, project+"/nixos-module/tests/options.nix")
	if err != nil {
		t.Fatal(err)
	}
	var pages map[string][]manual.Option
	if err := json.Unmarshal([]byte(out), &pages); err != nil {
		t.Fatal(err)
	}
	return pages
}

// bare returns options by name, without defaults and examples. The module system's own are not among them.
func bare(options []manual.Option) map[string]manual.Option {
	all := map[string]manual.Option{}
	for _, o := range options {
		if !strings.Contains(o.Name, "_module") {
			all[o.Name] = manual.Option{Name: o.Name, Type: o.Type, Description: o.Description}
		}
	}
	return all
}
