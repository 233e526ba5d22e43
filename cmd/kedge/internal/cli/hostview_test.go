package cli

import (
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

func TestAHostThatWaitsForARebootSaysSo(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := proto.Status{
		Deployment: proto.DeploymentStatus{Phase: proto.PhaseCommitted, Verdict: proto.VerdictSucceeded, Reboot: []string{"kernel"}},
		Conditions: []proto.Condition{{
			Type: proto.ConditionRebootNeeded, Status: proto.StatusTrue, Reason: proto.ReasonRebootNeeded, Message: "with a reboot only: kernel",
		}},
	}
	v := proto.HostView{Status: &s, Seen: now}
	if got, want := note(v, now), "reboot-needed: with a reboot only: kernel"; got != want {
		t.Errorf("note = %q, want %q", got, want)
	}
	var b strings.Builder
	drawHost(&b, v, now)
	if want := "Reboot        changes kernel\n"; !strings.Contains(b.String(), want) {
		t.Errorf("the host is shown without %q:\n%s", want, b.String())
	}
	s.Conditions[0].Status = proto.StatusFalse
	if got := note(v, now); got != "" {
		t.Errorf("note = %q, want none", got)
	}
}
