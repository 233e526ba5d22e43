package cli

import (
	"testing"
	"time"

	"kedge/proto"
)

func TestAHostThatRestsForGoodIsWaitedForNoLonger(t *testing.T) {
	toplevel, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-nixos-system-a")
	if err != nil {
		t.Fatal(err)
	}
	for reason, want := range map[proto.Reason]outcome{
		proto.ReasonQuarantined: outcomeBad,
		proto.ReasonLooping:     outcomeBad,
		proto.ReasonGaveUp:      outcomeBad,
		proto.ReasonVerifying:   outcomeWaiting,
		proto.ReasonSuspended:   outcomeWaiting,
	} {
		s := proto.Status{Conditions: []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusFalse, Reason: reason}}}
		if got, why := outcomeOfRest(s, toplevel); got != want {
			t.Errorf("%s: outcome is %v (%s), want %v", reason, got, why, want)
		}
	}
}

func TestAFailureThatAHostTriesAgainAfterIsNoEnd(t *testing.T) {
	for ready, want := range map[proto.Condition]outcome{
		{Status: proto.StatusFalse, Reason: proto.ReasonRetrying}:    outcomeWaiting,
		{Status: proto.StatusUnknown, Reason: proto.ReasonNoDesired}: outcomeWaiting,
		{Status: proto.StatusFalse, Reason: proto.ReasonGaveUp}:      outcomeBad,
	} {
		ready.Type = proto.ConditionReady
		s := proto.Status{Deployment: proto.DeploymentStatus{Verdict: proto.VerdictFailed}, Conditions: []proto.Condition{ready}}
		if got, why := outcomeOfDeployment(s); got != want {
			t.Errorf("%s: outcome is %v (%s), want %v", ready.Reason, got, why, want)
		}
	}
}

func TestARefusalCountsForWhatWasRefused(t *testing.T) {
	published := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		refused proto.Serial
		at      time.Time
		want    outcome
	}{
		"of this":                   {8, published.Add(time.Second), outcomeBad},
		"of this, by a slow clock":  {8, published.Add(-time.Second), outcomeBad},
		"of the one before":         {7, published.Add(time.Second), outcomeWaiting},
		"of something, since":       {0, published.Add(time.Second), outcomeBad},
		"of something, before this": {0, published.Add(-time.Second), outcomeWaiting},
	} {
		v := proto.HostView{Want: proto.Target{Serial: 8, Published: published}, Status: &proto.Status{
			Time: test.at, Serial: 6, Refused: test.refused,
			Conditions: []proto.Condition{{Type: proto.ConditionAccepted, Status: proto.StatusFalse, Reason: proto.ReasonWithdrawn}},
		}}
		if got, why := outcomeOf(v, 8); got != test.want {
			t.Errorf("%s: outcome is %v (%s), want %v", name, got, why, test.want)
		}
	}
}
