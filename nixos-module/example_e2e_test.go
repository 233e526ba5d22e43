//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/agent"
	"kedge/controller"
	"kedge/internal/setup"
	"kedge/internal/spec"
	"kedge/proto"
)

// TestExample evaluates the fleet in examples, which is also the flake's template: the daemons take what its hosts
// have, and the controller what it says about rollouts.
func TestExample(t *testing.T) {
	m := newMachine(t, "example")
	out, err := m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", project+"/nixos-module/tests/example.nix")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Kedge json.RawMessage
		Hosts map[string]struct {
			Services, Refusals []string
			Settings           json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	var names []proto.HostName
	for name, h := range got.Hosts {
		names = append(names, mustHost(t, name))
		if len(h.Refusals) > 0 {
			t.Errorf("%s is refused: %q", name, h.Refusals)
		}
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, h.Settings, 0o600); err != nil {
			t.Fatal(err)
		}
		want := []string{"kedge-agent", "kedge-trial"}
		if name == "build" {
			want = []string{"kedge-controller"}
			_, err = setup.Load(setup.Source[controller.Config]{File: file, Default: controller.DefaultConfig()})
		} else {
			_, err = setup.Load(setup.Source[agent.Config]{File: file, Default: agent.DefaultConfig()})
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, h.Services); diff != "" {
			t.Errorf("services of %s (-want +got):\n%s", name, diff)
		}
	}
	if want := []string{"build", "db1", "web1", "web2"}; !slices.Equal(slices.Sorted(maps.Keys(got.Hosts)), want) {
		t.Errorf("hosts %q, want %q", slices.Sorted(maps.Keys(got.Hosts)), want)
	}
	s, err := spec.Parse(got.Kedge, names)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rollout.Waves) != 3 {
		t.Errorf("the rollout has %d waves, want 3", len(s.Rollout.Waves))
	}
}
