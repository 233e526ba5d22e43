//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/e2e/hosts"
	"kedge/internal/spec"
	"kedge/proto"
)

func TestFleet(t *testing.T) {
	m := newMachine(t, "fleet")
	t.Run("what is wrong with it", func(t *testing.T) { testFleetCheck(t, m) })
	t.Run("its outputs", func(t *testing.T) { testMkFleet(t, m) })
}

// testMkFleet shows what lib.mkFleet makes of the ways to describe a host.
func testMkFleet(t *testing.T, m *hosts.Machine) {
	evaluate := func(attribute string) (string, error) {
		return m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", "-A", attribute, project+"/nixos-module/tests/mkfleet.nix")
	}
	out, err := evaluate("good")
	if err != nil {
		t.Fatal(err)
	}
	var got options
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := options{
		"hostNames": options{"alone": "alone", "made": "made", "named": "other", "whole": "whole"},
		"greetings": options{"alone": "", "made": "hello", "named": "", "whole": ""},
		"kedge": options{
			"hosts":   options{"named": options{"tags": []any{"web"}, "hold": "it is being looked at"}},
			"sites":   options{"eu": options{"hosts": "tag:web"}},
			"rollout": options{"freeze": "the fair"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for attribute, says := range map[string]string{
		"misspelt": `kedge.hosts.web1.tgas: there is no such attribute; did you mean "tags"?`,
		"nothing":  "kedge: host web1 has neither modules nor a configuration",
	} {
		if _, err := evaluate(attribute); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want %q in it", attribute, err, says)
		}
	}
}

// testFleetCheck shows that lib.mkFleet says about what is wrong with a fleet what `kedge check` says, and the
// controller. The fleets are in testdata/fleet.json, by what is wrong with them.
func testFleetCheck(t *testing.T, m *hosts.Machine) {
	text, err := os.ReadFile("testdata/fleet.json")
	if err != nil {
		t.Fatal(err)
	}
	var fleets map[string]json.RawMessage
	if err := json.Unmarshal(text, &fleets); err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(fleets))
	hostNames := []string{"web1", "web2", "db1"}
	var specs []json.RawMessage
	for _, name := range names {
		specs = append(specs, fleets[name])
	}
	cases, err := json.Marshal(map[string]any{"names": hostNames, "specs": specs})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.WriteFile("/srv/fleets.json", cases, 0o644); err != nil {
		t.Fatal(err)
	}
	libs := map[string]string{"": project + "/nixos-module/tests/lib.nix"}
	if dir := os.Getenv(nixpkgsLib); dir != "" {
		libs[" with the lib of nixpkgs"] = "/srv/nixpkgs-lib"
		if err := os.CopyFS(filepath.Join(m.Root(), "srv/nixpkgs-lib"), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	for with, lib := range libs {
		out, err := m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json",
			"--argstr", "file", "/srv/fleets.json", "--arg", "lib", "import "+lib, project+"/nixos-module/tests/fleet.nix")
		if err != nil {
			t.Fatal(err)
		}
		var got [][]string
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			slices.Sort(got[i])
			if diff := cmp.Diff(problems(t, specs[i], hostNames), got[i]); diff != "" {
				t.Errorf("%s%s (-kedge check +mkFleet):\n%s", name, with, diff)
			}
		}
	}
}

// problems returns what `kedge check` says about an output kedge, sorted.
func problems(t *testing.T, output []byte, hostNames []string) []string {
	t.Helper()
	var names []proto.HostName
	for _, name := range hostNames {
		names = append(names, mustHost(t, name))
	}
	_, err := spec.Parse(output, names)
	wrong, is := errors.AsType[*spec.ParseError](err)
	if err == nil || !is {
		return []string{}
	}
	var lines []string
	for _, p := range wrong.Problems {
		if !ofZones(p.Text) {
			lines = append(lines, p.String())
		}
	}
	slices.Sort(lines)
	return lines
}

// ofZones reports whether a problem takes knowledge of time zones to see, which an evaluation has not.
func ofZones(problem string) bool {
	return strings.Contains(problem, `"Wed 09:00-10:00 Europe/Berlin" never opens`)
}
