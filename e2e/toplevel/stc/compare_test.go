package stc

import "testing"

func TestCompare(t *testing.T) {
	run := func(extra ...string) unit {
		u := unit{"Unit": {"Description": {"d"}}, "Service": {"ExecStart": {"/bin/true"}}}
		for i := 0; i+2 < len(extra); i += 3 {
			if u[extra[i]] == nil {
				u[extra[i]] = map[string][]string{}
			}
			u[extra[i]][extra[i+1]] = []string{extra[i+2]}
		}
		return u
	}
	tests := []struct {
		name       string
		old, fresh unit
		want       change
	}{
		{"equal units need nothing", run(), run(), changeNone},
		{"another command needs a restart", run(), run("Service", "ExecStart", "/bin/false"), changeRestart},
		{"a new key needs a restart", run(), run("Service", "Nice", "1"), changeRestart},
		{"a lost key needs a restart", run("Service", "Nice", "1"), run(), changeRestart},
		{"a new section needs a restart", run(), run("Socket", "ListenStream", "1"), changeRestart},
		{"a lost section needs a restart", run("Socket", "ListenStream", "1"), run(), changeRestart},
		{"another description needs nothing", run(), run("Unit", "Description", "e"), changeNone},
		{"a new restart trigger needs a restart", run(), run("Unit", "X-Restart-Triggers", "/a"), changeRestart},
		{"a new reload trigger needs a reload", run(), run("Unit", "X-Reload-Triggers", "/a"), changeReload},
		{"another reload trigger needs a reload", run("Unit", "X-Reload-Triggers", "/a"), run("Unit", "X-Reload-Triggers", "/b"), changeReload},
		{"a lost reload trigger needs nothing", run("Unit", "X-Reload-Triggers", "/a"), run(), changeNone},
		{"a new ExecReload needs a reload", run(), run("Service", "ExecReload", "a"), changeReload},
		{"another ExecReload needs a reload", run("Service", "ExecReload", "a"), run("Service", "ExecReload", "b"), changeReload},
		{"a lost ExecReload needs nothing", run("Service", "ExecReload", "a"), run(), changeNone},
		{"a new ExecReload and more needs a restart", run(), run("Service", "ExecReload", "a", "Service", "Nice", "1"), changeRestart},
		{"other mount options need a reload", run("Mount", "Options", "rw"), run("Mount", "Options", "ro"), changeReload},
		{"new mount options need a restart", run("Mount", "What", "a"), run("Mount", "What", "a", "Mount", "Options", "ro"), changeRestart},
		{
			"a service section of ExecReload alone needs a reload",
			unit{"Unit": {"Description": {"d"}}},
			unit{"Unit": {"Description": {"d"}}, "Service": {"ExecReload": {"a"}}},
			changeReload,
		},
		{"a lost unit section of descriptions needs nothing", unit{"Unit": {"Description": {"d"}}}, unit{}, changeNone},
		{"a lost unit section with more needs a restart", unit{"Unit": {"After": {"a"}}}, unit{}, changeRestart},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := compare(tt.old, tt.fresh); got != tt.want {
				t.Errorf("compare(%v, %v) = %v, want %v", tt.old, tt.fresh, got, tt.want)
			}
		})
	}
}
