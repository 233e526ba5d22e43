package stc

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const anyService = "[Service]\nExecStart=/bin/true\n"

func TestCollect(t *testing.T) {
	type result struct{ Stop, Start, Restart, Reload, Skip []string }
	changed := func(more string) string { return "[Service]\nExecStart=/bin/false\n" + more }
	tests := []struct {
		name       string
		old, fresh map[string]string
		active     map[string]activeUnit
		want       result
	}{
		{
			name: "leaves an unchanged service alone",
			old:  map[string]string{"a.service": anyService}, fresh: map[string]string{"a.service": anyService},
		},
		{
			name: "stops a changed service and starts it afterwards",
			old:  map[string]string{"a.service": anyService}, fresh: map[string]string{"a.service": changed("")},
			want: result{Stop: []string{"a.service"}, Start: []string{"a.service"}},
		},
		{
			name: "restarts in one go what is not to be stopped",
			old:  map[string]string{"a.service": anyService}, fresh: map[string]string{"a.service": changed("X-StopIfChanged=false\n")},
			want: result{Restart: []string{"a.service"}},
		},
		{
			name: "reloads what asks for it",
			old:  map[string]string{"a.service": anyService}, fresh: map[string]string{"a.service": changed("X-ReloadIfChanged=true\n")},
			want: result{Reload: []string{"a.service"}},
		},
		{
			name: "skips what is not to be restarted",
			old:  map[string]string{"a.service": anyService}, fresh: map[string]string{"a.service": changed("X-RestartIfChanged=false\n")},
			want: result{Skip: []string{"a.service"}},
		},
		{
			name: "skips what refuses to be stopped by hand",
			old:  map[string]string{"a.service": anyService}, fresh: map[string]string{"a.service": changed("[Unit]\nRefuseManualStop=true\n")},
			want: result{Skip: []string{"a.service"}},
		},
		{
			name: "stops a removed service",
			old:  map[string]string{"a.service": anyService},
			want: result{Stop: []string{"a.service"}},
		},
		{
			name: "leaves a removed service that says so",
			old:  map[string]string{"a.service": "[Unit]\nX-StopOnRemoval=false\n" + anyService},
		},
		{
			name: "starts an active target again",
			old:  map[string]string{"a.target": ""}, fresh: map[string]string{"a.target": ""},
			want: result{Start: []string{"a.target"}},
		},
		{
			name: "stops a target that is to be stopped on reconfiguration",
			old:  map[string]string{"a.target": ""}, fresh: map[string]string{"a.target": "[Unit]\nX-StopOnReconfiguration=true\n"},
			want: result{Stop: []string{"a.target"}, Start: []string{"a.target"}},
		},
		{
			name:  "restarts the socket of a service in place of the service",
			old:   map[string]string{"a.service": anyService, "a.socket": ""},
			fresh: map[string]string{"a.service": changed(""), "a.socket": ""},
			want:  result{Stop: []string{"a.service", "a.socket"}, Start: []string{"a.socket"}},
		},
		{
			name: "stops an instance that lost its drop-in",
			old:  map[string]string{"a@.service": anyService, "a@one.service.d/x.conf": ""}, fresh: map[string]string{"a@.service": anyService},
			active: map[string]activeUnit{"a@one.service": {state: "active"}},
			want:   result{Stop: []string{"a@one.service"}},
		},
		{
			name: "does not touch what is not running",
			old:  map[string]string{"a.service": anyService}, fresh: map[string]string{"a.service": changed("")},
			active: map[string]activeUnit{"a.service": {state: "failed"}},
		},
		{
			name:  "never restarts slices and paths",
			old:   map[string]string{"a.slice": "[Slice]\nCPUWeight=1\n", "a.path": "[Path]\nPathExists=/a\n"},
			fresh: map[string]string{"a.slice": "[Slice]\nCPUWeight=2\n", "a.path": "[Path]\nPathExists=/b\n"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			active := tt.active
			if active == nil {
				active = map[string]activeUnit{}
				for name := range tt.old {
					active[name] = activeUnit{state: "active"}
				}
			}
			p := newPlan(lists{dir: t.TempDir()})
			c := collector{
				oldDir: write(t, tt.old), newDir: write(t, tt.fresh), active: active, plan: p,
				fragment: func(activeUnit) string { return unitDir + "/x" },
			}
			if err := c.collect(); err != nil {
				t.Fatal(err)
			}
			got := result{names(p.stop), names(p.start), names(p.restart), names(p.reload), names(p.skip)}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			// What is still to do survives an interruption.
			recorded := result{Start: names(p.lists.read(startList)), Restart: names(p.lists.read(restartList)), Reload: names(p.lists.read(reloadList))}
			want := result{Start: tt.want.Start, Restart: tt.want.Restart, Reload: tt.want.Reload}
			if diff := cmp.Diff(want, recorded); diff != "" {
				t.Errorf("resume lists (-want +got):\n%s", diff)
			}
		})
	}
}

func names(s set) []string {
	if len(s) == 0 {
		return nil
	}
	return s.sorted()
}

func TestCollectIgnoresUnitsFromElsewhere(t *testing.T) {
	p := newPlan(lists{dir: t.TempDir()})
	c := collector{
		oldDir: write(t, map[string]string{"a.service": anyService}), newDir: t.TempDir(), plan: p,
		active:   map[string]activeUnit{"a.service": {state: "active"}},
		fragment: func(activeUnit) string { return "/run/systemd/transient/a.service" },
	}
	if err := c.collect(); err != nil {
		t.Fatal(err)
	}
	if len(p.stop) > 0 {
		t.Errorf("stops %v, want nothing", p.stop.sorted())
	}
}

func TestMaskedUnitCountsAsRemoved(t *testing.T) {
	fresh := t.TempDir()
	if err := os.Symlink("/dev/null", filepath.Join(fresh, "a.service")); err != nil {
		t.Fatal(err)
	}
	p := newPlan(lists{dir: t.TempDir()})
	c := collector{
		oldDir: write(t, map[string]string{"a.service": anyService}), newDir: fresh, plan: p,
		active:   map[string]activeUnit{"a.service": {state: "active"}},
		fragment: func(activeUnit) string { return unitDir + "/a.service" },
	}
	if err := c.collect(); err != nil {
		t.Fatal(err)
	}
	if !p.stop.has("a.service") {
		t.Error("a.service is masked in the new system and not stopped")
	}
}

func TestPlanBeginsWithWhatWasInterrupted(t *testing.T) {
	dir := write(t, map[string]string{startList: "a.service\n", restartList: "b.service\n\n", reloadList: "c.service\n"})
	p := newPlan(lists{dir: dir})
	if !p.start.has("a.service") || !p.restart.has("b.service") || !p.reload.has("c.service") {
		t.Errorf("plan = %+v, want a started, b restarted, c reloaded", p)
	}
	p.dropReload("c.service")
	if got := p.lists.read(reloadList); len(got) > 0 {
		t.Errorf("reload list = %v after the unit was dropped, want none", got.sorted())
	}
}

func TestDryRunRecordsNothing(t *testing.T) {
	l := lists{dir: t.TempDir(), dry: true}
	newPlan(l).addStart("a.service")
	if l.exists(startList) {
		t.Error("a dry run left a start list")
	}
}
