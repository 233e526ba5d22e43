//go:build host

package health

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/agent/internal/check"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

// These tests run against the systemd that is PID 1 where they are started,
// which must be a test host without an agent: they make their own.

// realGrace is shorter than in a configuration, but long enough that what shall
// happen in it, or in both of its halves, does so on a busy machine.
const realGrace = 4 * time.Second

// Deadlines: one that is not to come, and one that is waited for.
const (
	realDeadline  = 30 * time.Second
	shortDeadline = 6 * time.Second
)

// standIn makes contact %s seconds after its start.
const standIn = `#!/bin/sh
sleep %s
printf '{"format":1,"invocation_id":"%%s","boot_id":"%%s","pid":%%s,"accepted":true}' $INVOCATION_ID $(cat /proc/sys/kernel/random/boot_id) $$ >%s/new
mv %[2]s/new %[2]s/contact.json
exec sleep infinity
`

// A reader leaves another receipt for the stand-in that left one.
type reader struct{ files statefile.Dir }

// Reconcile implements [Agent].
func (r reader) Reconcile(context.Context) error {
	c, err := r.files.Contact()
	if err != nil {
		return err
	}
	c.At = time.Now()
	return r.files.SaveContact(c)
}

func TestRealJudge(t *testing.T) {
	tests := []struct {
		name     string
		contact  string // seconds
		service  string // of the app
		checked  bool   // the app must be up
		deadline time.Duration
		reason   proto.Reason
		at       time.Duration // not before
		message  string
	}{
		{"good", "0.2", "ExecStart=/bin/sleep infinity", false, realDeadline, "", realGrace, ""},
		{"late contact", "5", "ExecStart=/bin/sleep infinity", false, realDeadline, "", 5 * time.Second, ""},
		{"dies after its start", "0.2", "ExecStart=/bin/sh -c 'sleep 1; echo the reason; exit 3'", false, realDeadline, proto.ReasonUnitsFailed, realGrace, ""},
		{"flaps slowly", "0.2", "ExecStart=/bin/sh -c 'sleep 0.5; echo the reason; exit 3'\nRestart=always\nRestartSec=10", false, realDeadline, proto.ReasonUnitsFailed, realGrace, ""},
		{"flaps fast", "0.2", "ExecStart=/bin/sh -c 'sleep 0.4; echo the reason; exit 3'\nRestart=always\nRestartSec=10ms", false, realDeadline, proto.ReasonUnitsFailed, realGrace, ""},
		{
			"flaps and logs much", "0.2",
			"ExecStart=/bin/sh -c 'i=0; while [ $$i -lt 300 ]; do echo the reason; i=$$((i+1)); done; sleep 0.4; exit 3'\nRestart=always\nRestartSec=10ms",
			false, realDeadline, proto.ReasonUnitsFailed, realGrace, "",
		},
		{"ends well again and again", "0.2", "ExecStart=/bin/sh -c 'sleep 0.4'\nRestart=always\nRestartSec=10ms", false, realDeadline, "", realGrace, ""},
		{
			"check passes later", "0.2", "Type=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'sleep 6; systemd-notify --ready; sleep infinity'",
			true, realDeadline, "", 6 * time.Second, "",
		},
		{"check never passes", "0.2", "Type=oneshot\nExecStart=/bin/true", true, shortDeadline, proto.ReasonCheckFailed, shortDeadline, "inactive"},
		{"no contact", "60", "ExecStart=/bin/sleep infinity", false, shortDeadline, proto.ReasonNoContact, shortDeadline, "did not read"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := fmt.Sprintf("kedge-test-app-%d.service", i) // each with a log of its own
			var checks []deployment.Check
			if tt.checked {
				checks = []deployment.Check{{Name: "app", Unit: app, Required: true}}
			}
			files := statefile.Dir{Runtime: t.TempDir()}
			agent := filepath.Join(files.Runtime, "agent")
			if err := os.WriteFile(agent, fmt.Appendf(nil, standIn, tt.contact, files.Runtime), 0o755); err != nil {
				t.Fatal(err)
			}
			writeService(t, AgentUnit, "ExecStart="+agent)
			writeService(t, app, tt.service)
			start := time.Now()
			systemctl(t, "start", AgentUnit)
			systemctl(t, "start", "--no-block", app)
			boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			if err != nil {
				t.Fatal(err)
			}
			units := &systemd.Client{}
			j := Judge{
				Units: units, Checks: &check.Runner{Units: units}, Receipts: files, Agent: reader{files}, BootID: strings.TrimSpace(string(boot)),
				Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			}
			got, err := j.Judge(t.Context(), deployment.Probation{Grace: realGrace, Deadline: tt.deadline, Checks: checks}, deployment.Baseline{})
			took := time.Since(start)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("decided %v after it could be: %+v", took-tt.at, got)
			if got.Reason != tt.reason || got.Good != (tt.reason == "") || !strings.Contains(got.Message, tt.message) {
				t.Errorf("got %+v, want reason %q, message with %q", got, tt.reason, tt.message)
			}
			if took < tt.at || tt.at < tt.deadline && took >= tt.deadline {
				t.Errorf("decided after %v, want not before %v, and not at the deadline if that is not when", took, tt.at)
			}
			if tt.reason == proto.ReasonUnitsFailed &&
				(len(got.Failed) != 1 || got.Failed[0].Name != app || !slices.Contains(got.Failed[0].Log, "the reason")) {
				t.Errorf("failed units: got %+v, want %s and its log", got.Failed, app)
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
