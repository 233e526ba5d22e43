package controller

import (
	"slices"

	"kedge/proto"
)

// reported returns of which assignment a host last said what it came to, and that. One
// that it did not begin to deploy has come to something, too, if it runs it already, or
// will not.
func reported(s proto.Status, want proto.Target) (proto.Serial, proto.Verdict) {
	accepted, _ := s.Condition(proto.ConditionAccepted)
	switch {
	case s.Serial == want.Serial && s.Runs(want.Toplevel):
		return want.Serial, proto.VerdictSucceeded
	case s.Deployment.Serial == want.Serial:
	case s.Refused == want.Serial && accepted.Status == proto.StatusFalse,
		s.Serial == want.Serial && s.Rests():
		return want.Serial, proto.VerdictRefused
	case s.Serial == want.Serial && defers(s):
		return want.Serial, proto.VerdictPending
	}
	return s.Deployment.Serial, s.Deployment.Verdict
}

// defers reports whether a host says that it waits for something of its own, before it
// goes on with what it accepted last.
func defers(s proto.Status) bool {
	ready, _ := s.Condition(proto.ConditionReady)
	return ready.Status == proto.StatusFalse && slices.Contains(deferring(), ready.Reason)
}

// deferring are the reasons for which a host does not go on with what it accepted, and will
// when its time, its turn or a person has come.
func deferring() []proto.Reason {
	return []proto.Reason{
		proto.ReasonSuspended, proto.ReasonInhibited, proto.ReasonHeld, proto.ReasonOutsideWindow, proto.ReasonAwaitingLease,
		proto.ReasonNoLease, proto.ReasonAwaitingBoot, proto.ReasonVerifying,
	}
}
