package summary

import (
	"time"

	"kedge/internal/terminal"
	"kedge/proto"
)

// Host says what a reader of the table should know about a host, if anything.
func Host(v proto.HostView, now time.Time) string {
	switch p := v.Problem; {
	case v.Rival != nil:
		return Because("second machine", "", v.Rival.Message)
	case p == nil:
		return joined(status(v, now), Wait(v.Waits, now))
	case p.Reason != proto.ReasonNotInRevision:
		return Because("not published", p.Reason, FirstLine(p.Message))
	}
	return joined(status(v, now), string(v.Problem.Reason))
}

// joined joins two notes, each of which may be empty.
func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// status is [Host] for what the host itself says, or does not say.
func status(v proto.HostView, now time.Time) string {
	switch {
	case v.Revoked():
		return "revoked"
	case v.Status == nil && v.Seen.IsZero():
		return "never heard of"
	case v.Silent:
		return "silent for " + terminal.Since(v.Seen, now)
	case v.Status == nil:
		return "no status yet"
	}
	if c, ok := v.Status.Condition(proto.ConditionStuck); ok && c.Status == proto.StatusTrue {
		return terminal.Printable(Because(string(c.Reason), "", FirstLine(c.Message)))
	}
	if c, ok := v.Status.Condition(proto.ConditionAccepted); ok && c.Status == proto.StatusFalse {
		return Because("refuses", c.Reason, FirstLine(c.Message))
	}
	if c, ok := v.Status.Condition(proto.ConditionSuspended); ok && c.Status == proto.StatusTrue {
		return terminal.Printable(Because(string(c.Reason), "", FirstLine(c.Message)))
	}
	if c, ok := v.Status.Condition(proto.ConditionWithdrawn); ok && c.Status == proto.StatusTrue {
		return Because(string(c.Reason), "", FirstLine(c.Message))
	}
	d := v.Status.Deployment
	brought := d.Reason == proto.ReasonSpecialised && d.Verdict == proto.VerdictRolledBack // to where it shall be
	if d.Verdict.Bad() && !brought || d.Reason != "" && d.Verdict == proto.VerdictPending {
		return Because(string(d.Reason), "", FirstLine(d.Message))
	}
	if c, ok := v.Status.Condition(proto.ConditionDrifted); ok && c.Status == proto.StatusTrue {
		return Because("drifted", c.Reason, FirstLine(c.Message))
	}
	if ready, ok := v.Status.Condition(proto.ConditionReady); ok && ready.Status == proto.StatusFalse && ready.Reason != proto.ReasonDeploying {
		return Because("not ready", ready.Reason, FirstLine(ready.Message))
	}
	if c, ok := v.Status.Condition(proto.ConditionSpecialised); ok && c.Status == proto.StatusFalse {
		return terminal.Printable(Because(string(c.Reason), "", FirstLine(c.Message)))
	}
	if v.Want.Serial > v.Status.Serial {
		return "serial " + v.Want.Serial.String() + " not accepted yet"
	}
	if c, ok := v.Status.Condition(proto.ConditionRebootNeeded); ok && c.Status == proto.StatusTrue {
		return terminal.Printable(Because(string(c.Reason), "", FirstLine(c.Message)))
	}
	return ""
}
