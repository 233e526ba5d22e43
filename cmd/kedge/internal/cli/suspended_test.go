package cli

import (
	"testing"
	"time"

	"kedge/internal/summary"
	"kedge/proto"
)

func TestASuspendedHostIsNoted(t *testing.T) {
	suspended := proto.Condition{Type: proto.ConditionSuspended, Status: proto.StatusTrue, Reason: proto.ReasonSuspended, Message: "by ada: disk swap"}
	ready := proto.Condition{Type: proto.ConditionReady, Status: proto.StatusFalse, Reason: proto.ReasonInhibited, Message: "backup: runs"}
	for want, conditions := range map[string][]proto.Condition{
		"suspended: by ada: disk swap":       {ready, suspended},
		"not ready: inhibited: backup: runs": {ready, {Type: proto.ConditionSuspended, Status: proto.StatusFalse}},
	} {
		v := proto.HostView{Seen: time.Now(), Status: &proto.Status{Conditions: conditions}}
		if got := summary.Host(v, time.Now()); got != want {
			t.Errorf("%+v: noted %q, want %q", conditions, got, want)
		}
	}
}

func TestATransactionThatCannotGoOnIsNoted(t *testing.T) {
	for want, conditions := range map[string][]proto.Condition{
		"stuck: tried 3 times": {
			{Type: proto.ConditionAccepted, Status: proto.StatusFalse, Reason: proto.ReasonClock},
			{Type: proto.ConditionStuck, Status: proto.StatusTrue, Reason: proto.ReasonStuck, Message: "tried 3 times"},
		},
		"": {{Type: proto.ConditionStuck, Status: proto.StatusFalse}},
	} {
		v := proto.HostView{Seen: time.Now(), Status: &proto.Status{Conditions: conditions}}
		if got := summary.Host(v, time.Now()); got != want {
			t.Errorf("%+v: noted %q, want %q", conditions, got, want)
		}
	}
}
