//go:build host

package health

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

// These tests run against the systemd that is PID 1 where they are started,
// which must be a test host without an agent: they make their own.

// lag is how much later than it could a judgement may come.
const lag = time.Second

// Shorter than a configuration may have them.
const (
	realGrace    = 2 * time.Second
	realDeadline = 6 * time.Second
)

// standIn makes contact %s seconds after its start.
const standIn = `#!/bin/sh
sleep %s
printf '{"format":1,"invocation_id":"%%s","boot_id":"%%s","pid":%%s,"accepted":true}' $INVOCATION_ID $(cat /proc/sys/kernel/random/boot_id) $$ >%s/new
mv %[2]s/new %[2]s/contact.json
exec sleep infinity
`

func TestRealJudge(t *testing.T) {
	const app = "kedge-test-app.service"
	tests := []struct {
		name    string
		contact string // seconds
		service string // of app
		checks  []deployment.Check
		reason  proto.Reason
		at      time.Duration
		message string
	}{
		{"good", "0.2", "ExecStart=/bin/sleep infinity", nil, "", realGrace, ""},
		{"late contact", "3", "ExecStart=/bin/sleep infinity", nil, "", 3 * time.Second, ""},
		{"dies after its start", "0.2", "ExecStart=/bin/sh -c 'echo the reason; sleep 1; exit 3'", nil, proto.ReasonUnitsFailed, realGrace, app},
		{"flaps slowly", "0.2", "ExecStart=/bin/sh -c 'sleep 0.5; exit 3'\nRestart=always\nRestartSec=10", nil, proto.ReasonUnitsFailed, realGrace, app},
		{"flaps fast", "0.2", "ExecStart=/bin/sh -c 'sleep 0.4; exit 3'\nRestart=always\nRestartSec=10ms", nil, proto.ReasonUnitsFailed, realGrace, app},
		{"ends well again and again", "0.2", "ExecStart=/bin/sh -c 'sleep 0.4'\nRestart=always\nRestartSec=10ms", nil, "", realGrace, ""},
		{
			"check passes later", "0.2", "Type=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'sleep 4; systemd-notify --ready; sleep infinity'",
			[]deployment.Check{{Name: "app", Unit: app, Required: true}},
			"", 4 * time.Second, "",
		},
		{
			"check never passes", "0.2", "Type=oneshot\nExecStart=/bin/true",
			[]deployment.Check{{Name: "app", Unit: app, Required: true}},
			proto.ReasonCheckFailed, realDeadline, "inactive",
		},
		{"no contact", "60", "ExecStart=/bin/sleep infinity", nil, proto.ReasonNoContact, realDeadline, "did not read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := statefile.Dir{Runtime: t.TempDir()}
			agent := filepath.Join(files.Runtime, "agent")
			if err := os.WriteFile(agent, fmt.Appendf(nil, standIn, tt.contact, files.Runtime), 0o755); err != nil {
				t.Fatal(err)
			}
			writeService(t, AgentUnit, "ExecStart="+agent)
			writeService(t, app, tt.service)
			systemctl(t, "start", AgentUnit)
			systemctl(t, "start", "--no-block", app)
			boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			if err != nil {
				t.Fatal(err)
			}
			j := Judge{
				Units: &systemd.Client{}, Receipts: files, BootID: strings.TrimSpace(string(boot)),
				Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			}
			start := time.Now()
			got, err := j.Judge(t.Context(), deployment.Probation{Grace: realGrace, Deadline: realDeadline, Checks: tt.checks}, nil)
			took := time.Since(start)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("decided %v after it could be: %+v", took-tt.at, got)
			if got.Reason != tt.reason || got.Good != (tt.reason == "") || !strings.Contains(got.Message, tt.message) {
				t.Errorf("got %+v, want reason %q, message with %q", got, tt.reason, tt.message)
			}
			if took < tt.at-lag/4 || took > tt.at+lag {
				t.Errorf("decided after %v, want about %v", took, tt.at)
			}
			if tt.reason == proto.ReasonUnitsFailed && (len(got.Failed) != 1 || len(got.Failed[0].Log) == 0) {
				t.Errorf("failed units: got %+v", got.Failed)
			}
		})
	}
}

// writeService makes a unit, which the end of the test removes.
func writeService(t *testing.T, name, service string) {
	t.Helper()
	file := filepath.Join("/run/systemd/system", name)
	if err := os.WriteFile(file, []byte("[Unit]\nStartLimitIntervalSec=0\n[Service]\n"+service+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	systemctl(t, "daemon-reload")
	t.Cleanup(func() {
		// What has failed already cannot be stopped, and the other way round.
		_ = exec.Command("systemctl", "stop", name).Run()
		_ = exec.Command("systemctl", "reset-failed", name).Run()
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
		systemctl(t, "daemon-reload")
	})
}

func systemctl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
		t.Fatalf("systemctl %v: %v: %s", args, err, out)
	}
}
