package toplevel

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteMakesAWholeFlake(t *testing.T) {
	dir := t.TempDir()
	fleet := Fleet{Tools: "/nix/store/x-tools", Hosts: map[string]Host{
		"web1": {App: &App{Text: `it's "100%"`}, Units: map[string]Unit{"x.service": FailsToStart("no")}},
		"db1":  {},
	}}
	if err := (Fleet{}).Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := fleet.Write(dir); err != nil { // over the first one
		t.Fatal(err)
	}
	for _, name := range []string{"flake.nix", "fleet.nix", "lib/system.nix", "lib/unit.nix", "lib/agent-unit.nix", "lib/trial-unit.nix", "lib/boot-complete.nix"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "hosts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got Fleet
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fleet, got); diff != "" {
		t.Errorf("hosts.json (-want +got):\n%s", diff)
	}
}

func TestShellSurvivesSystemd(t *testing.T) {
	got := shell(`echo "$HOME" 50%`)
	if want := `/bin/sh -c "echo \"$$HOME\" 50%%"`; got != want {
		t.Errorf("shell = %s, want %s", got, want)
	}
}
