package cli

import (
	"strings"
	"testing"
	"time"

	"kedge/internal/summary"
	"kedge/proto"
)

func TestAHostShowsItsSpecialisation(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var base, special proto.StorePath
	for p, text := range map[*proto.StorePath]string{
		&base: "/nix/store/00000000000000000000000000000000-a", &special: "/nix/store/11111111111111111111111111111111-a",
	} {
		if err := p.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	s := proto.Status{
		Systems:    proto.Systems{Current: special, Booted: base, Profile: base, Proven: base, Specialisation: "docked"},
		Deployment: proto.DeploymentStatus{Phase: proto.PhaseRolledBack, Verdict: proto.VerdictRolledBack, Reason: proto.ReasonSpecialised},
		Conditions: []proto.Condition{{Type: proto.ConditionSpecialised, Status: proto.StatusTrue, Message: "docked"}},
	}
	v := proto.HostView{Status: &s, Seen: now}
	var b strings.Builder
	drawHost(&b, v, now)
	for _, want := range []string{
		"Runs            " + special.String() + "\n",
		"Specialisation  docked of " + base.String() + "\n",
		"Proven          the same",
		"Booted          " + base.String() + "\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the host is shown without %q:\n%s", want, b.String())
		}
	}
	if got := summary.Host(v, now); got != "" {
		t.Errorf("note = %q of a host that is where it shall be", got)
	}
	s.Conditions[0] = proto.Condition{Type: proto.ConditionSpecialised, Status: proto.StatusFalse, Reason: proto.ReasonOtherChosen, Message: "runs docked"}
	if got, want := summary.Host(v, now), "other-chosen: runs docked"; got != want {
		t.Errorf("note = %q, want %q", got, want)
	}
	s.Deployment.Reason = proto.ReasonUnitsFailed
	if got, want := summary.Host(v, now), "units-failed"; got != want {
		t.Errorf("note = %q, want %q", got, want)
	}
}
