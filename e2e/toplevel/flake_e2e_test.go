//go:build e2e

package toplevel_test

import (
	"path/filepath"
	"strings"
	"testing"

	"kedge/e2e/hosts"
	"kedge/e2e/toplevel"
)

// newFlake returns a machine that is off and a fleet whose programs are in its store.
func newFlake(t *testing.T) (*hosts.Machine, toplevel.Fleet) {
	t.Helper()
	m := newMachine(t, "flake")
	tools := filepath.Join(t.TempDir(), "kedge-stand-in")
	if err := toplevel.BuildTools(t.Context(), tools); err != nil {
		t.Fatal(err)
	}
	path, err := toplevel.AddToStore(t.Context(), m, tools)
	if err != nil {
		t.Fatal(err)
	}
	return m, toplevel.Fleet{Tools: path}
}

func TestFlake(t *testing.T) {
	m, fleet := newFlake(t)

	t.Run("what a host's configuration says fails alone", func(t *testing.T) {
		for name, tt := range map[string]struct {
			host toplevel.Host
			want string // in the error
		}{
			"throws":         {toplevel.Host{EvalError: "the option 'x' does not exist"}, "error: the option 'x' does not exist"},
			"does not build": {toplevel.Host{BuildError: "it's broken"}, "it's broken"},
		} {
			fleet.Hosts = map[string]toplevel.Host{"web1": tt.host, "web2": {}}
			if _, err := toplevel.Install(t.Context(), m, fleet, "web1"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error %v, want %q in it", name, err, tt.want)
			}
			if _, err := toplevel.Install(t.Context(), m, fleet, "web2"); err != nil {
				t.Errorf("%s: the other host: %v", name, err)
			}
		}
	})

	t.Run("a toplevel that is no system has nothing to switch to", func(t *testing.T) {
		fleet.Hosts = map[string]toplevel.Host{"web1": {NotASystem: true}}
		tops, err := toplevel.Build(t.Context(), m, fleet)
		if err != nil {
			t.Fatal(err)
		}
		if there, err := m.Exists(tops["web1"] + "/bin/switch-to-configuration"); there || err != nil {
			t.Errorf("switch-to-configuration: %v, %v, want none", there, err)
		}
	})

	t.Run("without configurations there are none", func(t *testing.T) {
		empty := fleet
		empty.NoConfigurations = true
		if _, err := toplevel.Build(t.Context(), m, empty); err == nil || !strings.Contains(err.Error(), "nixosConfigurations") {
			t.Errorf("error %v, want it to name nixosConfigurations", err)
		}
	})

	t.Run("a changed service changes two store paths", func(t *testing.T) {
		closure := func(text string) map[string]bool {
			fleet.Hosts = map[string]toplevel.Host{"web1": {App: &toplevel.App{Text: text}}}
			tops, err := toplevel.Build(t.Context(), m, fleet)
			if err != nil {
				t.Fatal(err)
			}
			out, err := m.RunOffline(t.Context(), "nix-store", "--query", "--requisites", tops["web1"])
			if err != nil {
				t.Fatal(err)
			}
			paths := map[string]bool{}
			for path := range strings.FieldsSeq(out) {
				paths[path] = true
			}
			return paths
		}
		before, added := closure("1"), 0
		for path := range closure("2") {
			if !before[path] {
				added++
			}
		}
		if added != 2 {
			t.Errorf("%d new store paths, want 2: /etc and the toplevel", added)
		}
	})
}
