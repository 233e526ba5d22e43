//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
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
	t.Run("many hosts", func(t *testing.T) { testLargeFleetCheck(t, m) })
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
		"hostNames":  options{"alone": "alone", "made": "made", "named": "other", "whole": "whole"},
		"agentHosts": options{"alone": "alone", "made": "made", "named": "named", "whole": nil},
		"greetings":  options{"alone": "", "made": "hello", "named": "", "whole": ""},
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
		"nothing":  "kedge: host web1 has neither modules nor a configuration; a module that is a set goes into modules",
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

// testLargeFleetCheck shows that eight times the hosts take eight times as long to look at, and not 64 times.
func testLargeFleetCheck(t *testing.T, m *hosts.Machine) {
	few, many := evaluationTime(t, m, 1000), evaluationTime(t, m, 8000)
	if many > 16*few {
		t.Errorf("1000 hosts take %.3f s of a processor, and 8000 take %.3f s", few, many)
	}
}

// evaluationTime returns the least of three times, in seconds of a processor, that a check of so many hosts takes.
func evaluationTime(t *testing.T, m *hosts.Machine, count int) float64 {
	t.Helper()
	names, described := make([]string, count), options{}
	for i := range names {
		names[i] = fmt.Sprintf("h%d", i)
		described[names[i]] = options{"tags": []string{"a"}}
	}
	waves := []options{{"name": "first", "hosts": "h1*", "canary": options{"hosts": "tag:a"}}, {"name": "second", "hosts": "h2* or h3*"}}
	cases, err := json.Marshal(options{"names": names, "specs": []options{{"hosts": described, "rollout": options{"waves": waves}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.WriteFile("/srv/large.json", cases, 0o644); err != nil {
		t.Fatal(err)
	}
	least := math.Inf(1)
	for range 3 {
		out, err := m.RunOffline(t.Context(), "env", "NIX_SHOW_STATS=1", "NIX_SHOW_STATS_PATH=/srv/stats.json", "nix-instantiate", "--eval", "--strict", "--json",
			"--argstr", "file", "/srv/large.json", project+"/nixos-module/tests/fleet.nix")
		if err != nil || strings.TrimSpace(out) != "[[]]" {
			t.Fatalf("%d hosts: %s, %v", count, out, err)
		}
		text, err := os.ReadFile(filepath.Join(m.Root(), "srv/stats.json"))
		if err != nil {
			t.Fatal(err)
		}
		var stats struct{ CPUTime float64 }
		if err := json.Unmarshal(text, &stats); err != nil || stats.CPUTime == 0 {
			t.Fatalf("%+v, %v", stats, err)
		}
		least = min(least, stats.CPUTime)
	}
	return least
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
