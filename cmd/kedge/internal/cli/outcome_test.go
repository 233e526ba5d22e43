package cli

import (
	"testing"

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
