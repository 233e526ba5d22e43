package agent

import (
	"errors"
	"strings"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// Status returns how the host is, from what is on its disk and what the agent
// last decided. Time is left zero. It may be called at any time.
func (a *Agent) Status() proto.Status {
	v := a.look()
	record, recordErr := a.Files.Deployment()
	proven, provenErr := a.Files.Proven()
	_, floorErr := a.Files.Floor()
	systems, systemsErr := a.Systems.Systems()
	systems.Proven, systems.Revision = proven.Toplevel, proven.Revision
	if v.decision.Reason == proto.ReasonConverged && (systems.Current != systems.Proven || systems.Profile != systems.Proven) {
		// Not any more; the reconciler will see it, too.
		v.decision, v.since = Decision{Reason: proto.ReasonNotProven}, time.Time{}
	}
	link, _ := a.Link.Watch()
	s := proto.Status{
		Host:       a.Config.Host,
		Agent:      a.Identity.Version,
		BootID:     a.Identity.BootID,
		Systems:    systems,
		Deployment: record.Status(),
	}
	if v.order != nil {
		s.Serial = v.order.Assignment.Serial
	}
	s.Conditions = []proto.Condition{
		ready(v, record, proven),
		{Type: proto.ConditionConnected, Status: truth(link.Connected), Reason: reachable(link.Connected), Since: link.Since},
		accepted(v),
		{Type: proto.ConditionDrifted, Status: truth(v.decision.Reason == proto.ReasonDrifted || v.decision.Reason == proto.ReasonNotProven)},
		stateValid(errors.Join(v.stateErr, recordErr, provenErr, floorErr, systemsErr)),
		rebootNeeded(a.Systems.RebootPending()),
	}
	return s
}

func ready(v view, record deployment.Deployment, proven deployment.Proven) proto.Condition {
	c := proto.Condition{Type: proto.ConditionReady, Status: proto.StatusFalse, Reason: v.decision.Reason, Message: v.decision.Message, Since: v.since}
	switch {
	case v.order == nil && v.refusal == nil:
		c.Status = proto.StatusUnknown
	case v.order != nil && v.decision.Reason == proto.ReasonConverged && record.Terminal() && v.order.Release.Toplevel == proven.Toplevel:
		c.Status = proto.StatusTrue
	}
	return c
}

func accepted(v view) proto.Condition {
	c := proto.Condition{Type: proto.ConditionAccepted, Status: proto.StatusUnknown, Reason: proto.ReasonNoDesired}
	switch {
	case v.refusal != nil:
		c.Status, c.Reason, c.Message = proto.StatusFalse, v.refusal.Reason, v.refusal.Error()
	case v.order != nil:
		c.Status, c.Reason = proto.StatusTrue, ""
	}
	return c
}

func stateValid(err error) proto.Condition {
	c := proto.Condition{Type: proto.ConditionStateValid, Status: proto.StatusTrue}
	if err != nil {
		c.Status, c.Reason, c.Message = proto.StatusFalse, proto.ReasonStateUnreadable, err.Error()
	}
	return c
}

func rebootNeeded(parts []string, err error) proto.Condition {
	c := proto.Condition{Type: proto.ConditionRebootNeeded, Status: truth(len(parts) > 0)}
	switch {
	case err != nil:
		c.Status, c.Message = proto.StatusUnknown, err.Error()
	case len(parts) > 0:
		c.Reason, c.Message = proto.ReasonRebootNeeded, rebootMessage(parts)
	}
	return c
}

// rebootMessage says what a reboot would change.
func rebootMessage(parts []string) string {
	return "with a reboot only: " + strings.Join(parts, ", ")
}

func truth(b bool) proto.ConditionStatus {
	if b {
		return proto.StatusTrue
	}
	return proto.StatusFalse
}

func reachable(connected bool) proto.Reason {
	if connected {
		return proto.ReasonConnected
	}
	return proto.ReasonUnreachable
}
