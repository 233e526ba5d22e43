package cli

import (
	"strings"
	"testing"
	"time"

	"kedge/internal/summary"
	"kedge/proto"
)

func TestHostShowsItsChecks(t *testing.T) {
	v := proto.HostView{Status: &proto.Status{Deployment: proto.DeploymentStatus{
		Phase: proto.PhaseRolledBack,
		Checks: []proto.CheckResult{
			{Name: "ssh", Passed: true, Required: true, Duration: 1234567 * time.Nanosecond},
			{Name: "web", Required: true, Message: "status 502\x1b[2J"},
			{Name: "mail", Message: "connection refused (passed before)"},
		},
	}}}
	var out strings.Builder
	drawHost(&out, v, time.Time{})
	for _, want := range []string{
		"Check ssh   passed in 1.235ms\n",
		"Check web   failed, required: status 502[2J\n",
		"Check mail  failed: connection refused (passed before)\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got\n%s\nwant the line %q", out.String(), want)
		}
	}
}

func TestAHostThatWaitsForARebootSaysSo(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := proto.Status{
		Deployment: proto.DeploymentStatus{Phase: proto.PhaseCommitted, Verdict: proto.VerdictSucceeded, Reboot: []string{"kernel"}},
		Conditions: []proto.Condition{{
			Type: proto.ConditionRebootNeeded, Status: proto.StatusTrue, Reason: proto.ReasonRebootNeeded, Message: "with a reboot only: kernel",
		}},
	}
	v := proto.HostView{Status: &s, Seen: now}
	if got, want := summary.Host(v, now), "reboot-needed: with a reboot only: kernel"; got != want {
		t.Errorf("note = %q, want %q", got, want)
	}
	var b strings.Builder
	drawHost(&b, v, now)
	if want := "Reboot        changes kernel\n"; !strings.Contains(b.String(), want) {
		t.Errorf("the host is shown without %q:\n%s", want, b.String())
	}
	s.Conditions[0].Status = proto.StatusFalse
	if got := summary.Host(v, now); got != "" {
		t.Errorf("note = %q, want none", got)
	}
}
