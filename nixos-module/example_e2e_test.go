//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/agent"
	"kedge/controller"
	"kedge/e2e/hosts"
	"kedge/internal/setup"
	"kedge/internal/spec"
	"kedge/proto"
)

// TestExample evaluates the fleets in examples, which are also the flake's templates: the daemons take what their
// hosts have, and the controller what they say about rollouts.
func TestExample(t *testing.T) {
	m := newMachine(t, "example")
	t.Run("fleet", func(t *testing.T) { testExample(t, m, "fleet", 2, "build", "db1", "web1", "web2") })
	t.Run("ci", func(t *testing.T) { testExample(t, m, "ci", 0, "build", "web1", "web2") })
	for _, script := range []string{"sh -n deploy.sh", "bash -n deploy.sh"} {
		run(t, filepath.Join(root, "examples/ci"), strings.Fields(script)...)
	}
}

// testExample looks at one, with so many waves and these hosts.
func testExample(t *testing.T, m *hosts.Machine, example string, waves int, hostNames ...string) {
	t.Helper()
	out, err := m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode",
		"--arg", "example", project+"/examples/"+example, project+"/nixos-module/tests/example.nix")
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
	if there := slices.Sorted(maps.Keys(got.Hosts)); !slices.Equal(there, hostNames) {
		t.Errorf("hosts %q, want %q", there, hostNames)
	}
	s, err := spec.Parse(got.Kedge, names)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rollout.Waves) != waves {
		t.Errorf("the rollout has %d waves, want %d", len(s.Rollout.Waves), waves)
	}
}
