package agent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/profile"
	"kedge/proto"
)

const (
	baseText    = "/nix/store/00000000000000000000000000000000-nixos-system-a"
	specialText = "/nix/store/11111111111111111111111111111111-nixos-system-a"
)

// specialisedTree has a system that runs, base, and its specialisation docked with
// another kernel, each with its own probation.
func specialisedTree() map[string]string {
	tree := map[string]string{
		"/run/booted-system":                "-> .." + baseText,
		"/run/current-system":               "-> .." + baseText,
		baseText + "/specialisation/docked": "-> " + specialText,
	}
	for system, config := range map[string]string{
		baseText:    "activation: {specialisation: docked, unheard_of: 1}\nprobation: {deadline: 1h}",
		specialText: "probation: {deadline: 2h}",
	} {
		for name, content := range map[string]string{
			"nixos-version": "26.05", "init-interface-version": "systemd 2", "bin/switch-to-configuration": "#!/bin/sh",
			"etc/systemd/system/kedge-agent.service":                      "[Service]",
			"etc/systemd/system/kedge-trial.service":                      "[Service]",
			"etc/systemd/system/sysinit.target.wants/kedge-trial.service": "[Service]",
			"etc/kedge/agent.yaml":                                        config, "kernel-params": system,
		} {
			tree[system+"/"+name] = content
		}
	}
	return tree
}

func planted(t *testing.T, tree map[string]string) hostFetcher {
	t.Helper()
	root := t.TempDir()
	for name, content := range tree {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(content, "-> "); link {
			err = os.Symlink(target, file)
		} else {
			err = os.WriteFile(file, []byte(content), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return hostFetcher{
		preflight: closure.Preflight{Root: root, Volume: func(string) (closure.Volume, error) { return closure.Volume{Free: 1 << 30, Inodes: 1 << 20}, nil }},
		systems:   profile.System{Root: root},
		places:    DefaultConfig().places(),
	}
}

func storePath(t *testing.T, text string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestASystemIsLookedAtInItsSpecialisation: its kernel and its probation are those
// that count.
func TestASystemIsLookedAtInItsSpecialisation(t *testing.T) {
	f := planted(t, specialisedTree())
	got, err := f.ask(storePath(t, baseText))
	if err != nil {
		t.Fatal(err)
	}
	if want := (deployment.Specialisation{Name: "docked", System: storePath(t, specialText)}); got.Specialisation != want {
		t.Errorf("specialisation is %+v, want %+v", got.Specialisation, want)
	}
	if got.Probation.Deadline != 2*time.Hour || !slices.Equal(got.Reboot, []string{"kernel-params"}) || got.Unjudged != nil {
		t.Errorf("it is %+v, want what the specialisation is", got)
	}
	for name, change := range map[string]func(tree map[string]string){
		"and without one the system itself": func(tree map[string]string) { tree[baseText+"/etc/kedge/agent.yaml"] = "probation: {deadline: 1h}" },
	} {
		tree := specialisedTree()
		change(tree)
		got, err := planted(t, tree).ask(storePath(t, baseText))
		if err != nil || got.Probation.Deadline != time.Hour || len(got.Reboot) > 0 || got.Specialisation.Name != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestASpecialisationThatCannotBeHadIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(tree map[string]string)
		want   proto.Reason
	}{
		{"it is not there", func(tree map[string]string) { delete(tree, baseText+"/specialisation/docked") }, proto.ReasonNoSpecialisation},
		{"it has no agent", func(tree map[string]string) { delete(tree, specialText+"/etc/systemd/system/kedge-agent.service") }, proto.ReasonNoAgent},
		{"its base has none", func(tree map[string]string) { delete(tree, baseText+"/etc/systemd/system/kedge-agent.service") }, proto.ReasonNoAgent},
		{"it cannot be switched to", func(tree map[string]string) { delete(tree, specialText+"/bin/switch-to-configuration") }, proto.ReasonNotAToplevel},
		{"its configuration is torn", func(tree map[string]string) { tree[specialText+"/etc/kedge/agent.yaml"] = "probation: 1" }, proto.ReasonBadConfig},
		{"its agent would not find what this one remembers", func(tree map[string]string) {
			tree[baseText+"/etc/kedge/agent.yaml"] = "state_dir: /persist/kedge\nactivation: {specialisation: docked}"
		}, proto.ReasonBadConfig},
		{"nobody would find what its agent says", func(tree map[string]string) { tree[specialText+"/etc/kedge/agent.yaml"] = "runtime_dir: /run/other" }, proto.ReasonBadConfig},
		{"its name is a way out", func(tree map[string]string) {
			tree[baseText+"/etc/kedge/agent.yaml"] = "activation: {specialisation: ../x}"
		}, proto.ReasonBadConfig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := specialisedTree()
			tt.change(tree)
			_, err := planted(t, tree).ask(storePath(t, baseText))
			if r, ok := errors.AsType[*closure.Rejection](err); !ok || r.Reason != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	tree := specialisedTree()
	delete(tree, specialText+"/etc/systemd/system/kedge-trial.service")
	if got, err := planted(t, tree).ask(storePath(t, baseText)); err != nil || got.Unjudged == nil {
		t.Errorf("nobody would judge its boot: %+v, %v", got, err)
	}
}

// TestConfigured: what a system that runs was found to name is what it names.
func TestConfigured(t *testing.T) {
	f := planted(t, specialisedTree())
	for system, want := range map[string]string{baseText: "docked", specialText: ""} {
		if got, err := (hostSystems{System: f.systems}).Configured(storePath(t, system)); err != nil || got.Name != want {
			t.Errorf("%s: %+v, %v", system, got, err)
		}
	}
}
