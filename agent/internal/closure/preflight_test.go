package closure

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kedge/proto"
)

// A tree is the files of a host: name → content.
type tree map[string]string

const (
	newSystem = toplevelText + "/"
	running   = "/run/current-system/"
)

// goodTree has a running system and a new one that it can be switched to.
func goodTree() tree {
	return tree{
		newSystem + switchProgram:  "#!/bin/sh",
		newSystem + versionFile:    "26.05",
		newSystem + initFile:       "systemd 2\n",
		newSystem + inhibitorsFile: `{"dbus-implementation":"dbus"}`,
		newSystem + agentUnit:      "[Service]",
		running + initFile:         "systemd 2",
		running + inhibitorsFile:   `{"dbus-implementation":"dbus"}`,
	}
}

func (f tree) write(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, content := range f {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestPreflight(t *testing.T) {
	tests := []struct {
		name    string
		change  func(tree)
		reason  proto.Reason // empty: it can be switched to
		message string
	}{
		{"good", func(tree) {}, "", ""},
		{"not a directory", func(f tree) {
			clear(f)
			f[toplevelText] = "a file"
		}, proto.ReasonNotAToplevel, versionFile},
		{"not there", func(f tree) { clear(f) }, proto.ReasonNotAToplevel, versionFile},
		{"any other store path", func(f tree) {
			clear(f)
			f[newSystem+"bin/hello"] = ""
		}, proto.ReasonNotAToplevel, versionFile},
		{"no init interface", func(f tree) { delete(f, newSystem+initFile) }, proto.ReasonNotAToplevel, initFile},
		{"image that cannot be switched", func(f tree) { delete(f, newSystem+switchProgram) }, proto.ReasonNotAToplevel, switchProgram},
		{"program leads nowhere", func(f tree) { f[newSystem+switchProgram] = "-> /nonexistent" }, proto.ReasonNotAToplevel, switchProgram},
		{"no agent", func(f tree) { delete(f, newSystem+agentUnit) }, proto.ReasonNoAgent, "kedge-agent.service"},
		{"masked agent", func(f tree) { f[newSystem+agentUnit] = "-> /dev/null" }, proto.ReasonNoAgent, "masked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := goodTree()
			tt.change(f)
			err := Preflight{Root: f.write(t)}.Check(parse(t, toplevelText))
			if tt.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			requireReason(t, err, tt.reason)
			if err != nil && !strings.Contains(err.Error(), tt.message) {
				t.Errorf("got %q, want it to name %q", err, tt.message)
			}
		})
	}
}

func TestTrialNeedsItsUnit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(tree)
		want   string // part of the error; empty for none
	}{
		{"there and wanted", func(tree) {}, ""},
		{"missing", func(f tree) { delete(f, newSystem+trialUnit) }, trialUnit},
		{"masked", func(f tree) { f[newSystem+trialUnit] = "-> /dev/null" }, trialUnit},
		{"wanted by nobody", func(f tree) { delete(f, newSystem+trialWant) }, trialWant},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := goodTree()
			f[newSystem+trialUnit], f[newSystem+trialWant] = "[Service]", "-> ../kedge-trial.service"
			tt.change(f)
			err := Preflight{Root: f.write(t)}.Trial(parse(t, toplevelText))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestInhibitors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(tree)
		want   []string
	}{
		{"same", func(tree) {}, nil},
		{"other init interface", func(f tree) { f[newSystem+initFile] = "systemd 3" }, []string{`init interface from "systemd 2" to "systemd 3"`}},
		{"running system without init interface", func(f tree) { delete(f, running+initFile) }, []string{`init interface from "" to "systemd 2"`}},
		{"inhibitor changed", func(f tree) { f[newSystem+inhibitorsFile] = `{"dbus-implementation":"broker"}` }, []string{`dbus-implementation from "dbus" to "broker"`}},
		{"both", func(f tree) {
			f[newSystem+initFile], f[newSystem+inhibitorsFile] = "systemd 3", `{"dbus-implementation":"broker"}`
		}, []string{`init interface from "systemd 2" to "systemd 3"`, `dbus-implementation from "dbus" to "broker"`}},
		{"inhibitor added", func(f tree) { f[newSystem+inhibitorsFile] = `{"dbus-implementation":"dbus","kernel":"6.12"}` }, nil},
		{"inhibitor removed", func(f tree) { f[newSystem+inhibitorsFile] = `{}` }, nil},
		{"no inhibitors before", func(f tree) { delete(f, running+inhibitorsFile) }, nil},
		{"no inhibitors", func(f tree) { delete(f, newSystem+inhibitorsFile) }, nil},
		{"inhibitors that nobody can read", func(f tree) { f[newSystem+inhibitorsFile] = `{"dbus` }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := goodTree()
			tt.change(f)
			got, err := Preflight{Root: f.write(t)}.Inhibitors(parse(t, toplevelText))
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestPreflightWantsAProgram(t *testing.T) {
	root := goodTree().write(t)
	if err := os.Chmod(filepath.Join(root, newSystem, switchProgram), 0o644); err != nil {
		t.Fatal(err)
	}
	err := Preflight{Root: root}.Check(parse(t, toplevelText))
	var r *Rejection
	if !errors.As(err, &r) || r.Reason != proto.ReasonNotAToplevel || !strings.Contains(err.Error(), "not executable") {
		t.Errorf("got %v", err)
	}
}

func TestNewConfigPath(t *testing.T) {
	if got, want := NewConfigPath(parse(t, toplevelText)), newSystem+"etc/kedge/agent.yaml"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
