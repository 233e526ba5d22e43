package cli

import (
	"fmt"

	"kedge/internal/summary"
	"kedge/proto"
)

// An outcome is what became of what was published for a host.
type outcome string

const (
	outcomeWaiting outcome = "waiting"
	outcomeGood    outcome = "good"
	outcomeBad     outcome = "bad"
)

// outcomeOf judges how a host stands to what was published for it under serial,
// and says why in a few words. It never takes silence for success, and a failure
// that the host will try again is no end.
func outcomeOf(v proto.HostView, serial proto.Serial) (outcome, string) {
	switch s := v.Status; {
	case v.Want.Serial > serial:
		return outcomeBad, fmt.Sprintf("overtaken by serial %s", v.Want.Serial)
	case s == nil:
		return outcomeWaiting, "never heard of"
	case s.Serial > serial:
		return outcomeBad, fmt.Sprintf("overtaken by serial %s", s.Serial)
	case s.Deployment.Serial == serial:
		return outcomeOfDeployment(*s)
	case s.Serial == serial:
		return outcomeOfRest(*s, v.Want.Toplevel)
	default:
		return outcomeOfOlder(v, serial)
	}
}

// outcomeOfDeployment judges a host whose last deployment is the one in question.
func outcomeOfDeployment(s proto.Status) (outcome, string) {
	d := s.Deployment
	switch d.Verdict {
	case proto.VerdictNone, proto.VerdictPending:
		return outcomeWaiting, string(d.Phase)
	case proto.VerdictSucceeded, proto.VerdictTried:
		return outcomeGood, string(d.Verdict)
	case proto.VerdictFailed, proto.VerdictInconclusive:
		why := summary.Because(string(d.Verdict), d.Reason, d.Message)
		if s.Retries() {
			return outcomeWaiting, why + " (may be tried again)"
		}
		return outcomeBad, why
	case proto.VerdictRolledBack, proto.VerdictRollbackFailed, proto.VerdictRefused, proto.VerdictSuperseded:
		return outcomeBad, summary.Because(string(d.Verdict), d.Reason, d.Message)
	}
	return outcomeWaiting, string(d.Verdict)
}

// outcomeOfRest judges a host that accepted the assignment in question and did
// not begin to deploy it.
func outcomeOfRest(s proto.Status, toplevel proto.StorePath) (outcome, string) {
	if s.Runs(toplevel) {
		return outcomeGood, "runs it already"
	}
	ready, _ := s.Condition(proto.ConditionReady)
	why := summary.Because("not ready", ready.Reason, ready.Message)
	if s.Rests() {
		return outcomeBad, why
	}
	return outcomeWaiting, why
}

// outcomeOfOlder judges a host that has not accepted the assignment in question.
func outcomeOfOlder(v proto.HostView, serial proto.Serial) (outcome, string) {
	c, known := v.Status.Condition(proto.ConditionAccepted)
	// One without a serial may be of anything; if it is older than this, it is not of it.
	ofThis := v.Status.Refused == serial || v.Status.Refused == 0 && v.Status.Time.After(v.Want.Published)
	if known && c.Status == proto.StatusFalse && ofThis {
		return outcomeBad, summary.Because(string(proto.VerdictRefused), c.Reason, c.Message)
	}
	if v.Silent {
		return outcomeWaiting, "silent"
	}
	return outcomeWaiting, "not accepted yet"
}
