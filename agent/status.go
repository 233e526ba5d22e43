package agent

import (
	"errors"
	"slices"
	"strings"
	"time"

	"kedge/agent/internal/credentials"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/loader"
	"kedge/agent/internal/machine"
	"kedge/agent/internal/profile"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// A disk is what the files and links of a host say.
type disk struct {
	record    deployment.Deployment
	proven    deployment.Proven
	floor     proto.Floor
	systems   proto.Systems
	suspended *statefile.Suspension // in force; nil if there is none
	stuck     statefile.Stuck
	vetoes    vetoes
	err       error // what cannot be read
}

// readDisk reads everything that can be read.
func readDisk(files statefile.Dir, systems func() (proto.Systems, error), now time.Time) disk {
	var d disk
	var errs [6]error
	d.record, errs[0] = files.Deployment()
	d.proven, errs[1] = files.Proven()
	d.floor, errs[2] = files.PeekFloor()
	d.systems, errs[3] = systems()
	d.suspended, errs[4] = suspension(files, now)
	if d.stuck, errs[5] = files.Stuck(); errs[0] == nil && d.stuck.Deployment != "" && (d.stuck.Deployment != d.record.ID || d.stuck.Phase != d.record.Phase) {
		d.stuck = statefile.Stuck{} // it was left, and what it was about is over
	}
	d.systems.Proven, d.systems.Revision = d.proven.Toplevel, d.proven.Revision
	d.vetoes = vetoes{}.with(files.Vetoes())
	d.err = errors.Join(errs[:]...)
	return d
}

// Status returns how the host is, from what is on its disk and what the agent
// last decided. Time is left zero. It may be called at any time.
func (a *Agent) Status() proto.Status {
	v := a.look()
	d := readDisk(a.Files, a.Systems.Systems, a.Now())
	d.vetoes = v.inhibitors.with(d.vetoes.live)
	if v.decision.Reason == proto.ReasonConverged && drifted(d.systems, d.proven) {
		// Not any more; the reconciler will see it, too.
		v.decision, v.since = Decision{Reason: proto.ReasonNotProven}, time.Time{}
	}
	link, _ := a.Link.Watch()
	s := proto.Status{
		Host:       a.Config.Host,
		Agent:      a.Identity.Version,
		BootID:     a.Identity.BootID,
		Systems:    d.systems,
		Deployment: d.record.Status(),
		Trust:      a.Config.Trust.trust().Status(),
		Challenge:  d.floor.Challenge,
		Floor:      d.floor.Serial,
	}
	if v.order != nil {
		s.Serial = v.order.Assignment.Serial
	}
	if v.refusal != nil {
		s.Refused = v.refusal.Serial
	}
	s.Conditions = append([]proto.Condition{
		ready(v, d.record, d.proven),
		{Type: proto.ConditionConnected, Status: truth(link.Connected), Reason: reachable(link.Connected), Since: link.Since},
		accepted(v),
		drift(v.decision, d.systems, d.proven),
		specialised(d.systems, d.proven, v.shall),
		rebootNeeded(a.Systems.RebootPending()),
		rebootProtected(a.Loader),
		storeValid(v),
		runsWithdrawn(v, d),
		credentialsValid(a.Keeper.State()),
	}, d.conditions(errors.Join(v.stateErr, unknownMachine(a.Keeper.State())))...)
	return s
}

// conditions returns those that need no agent to be known. err is what else is
// wrong with the state.
func (d disk) conditions(err error) []proto.Condition {
	suspended := proto.Condition{Type: proto.ConditionSuspended, Status: proto.StatusFalse}
	if s := d.suspended; s != nil {
		suspended.Status, suspended.Reason = proto.StatusTrue, proto.ReasonSuspended
		suspended.Message, suspended.Since = s.String(), s.Since
	}
	return []proto.Condition{
		stateValid(errors.Join(err, d.err)), suspended,
		stuck(d.stuck), inhibited(proto.ConditionInhibited, d.vetoes.live), inhibited(proto.ConditionRebootInhibited, d.vetoes.reboot),
	}
}

// stuck is for a transaction that cannot go on, and must not give up.
func stuck(s statefile.Stuck) proto.Condition {
	c := proto.Condition{Type: proto.ConditionStuck, Status: truth(s.Tries > 0)}
	if s.Tries > 0 {
		c.Reason, c.Message, c.Since = proto.ReasonStuck, s.String(), s.Since
	}
	return c
}

func inhibited(what proto.ConditionType, by []statefile.Veto) proto.Condition {
	c := proto.Condition{Type: what, Status: truth(len(by) > 0)}
	if len(by) > 0 {
		c.Reason, c.Message = proto.ReasonInhibited, everybody(by)
	}
	return c
}

// lost reports whether the last rollback failed, and nothing healed the host
// since.
func (a *Agent) lost() bool {
	record, err := a.Files.Deployment()
	return err == nil && Observation{Record: record, BootID: a.Identity.BootID}.lostTheWay()
}

func ready(v view, record deployment.Deployment, proven deployment.Proven) proto.Condition {
	c := proto.Condition{Type: proto.ConditionReady, Status: proto.StatusFalse, Reason: v.decision.Reason, Message: v.decision.Message, Since: v.since}
	switch {
	case v.order == nil && v.refusal == nil:
		c.Status = proto.StatusUnknown
	case !v.decidedOnDesired():
		// What is known is about the assignment before.
		c.Status, c.Reason, c.Message = proto.StatusUnknown, proto.ReasonDeploying, ""
	case v.order != nil && v.decision.Reason == proto.ReasonConverged && record.Terminal() && v.order.Release.Toplevel == proven.Toplevel:
		c.Status = proto.StatusTrue
	}
	return c
}

func drift(d Decision, s proto.Systems, p deployment.Proven) proto.Condition {
	c := proto.Condition{Type: proto.ConditionDrifted, Status: proto.StatusFalse}
	if slices.Contains([]proto.Reason{proto.ReasonDrifted, proto.ReasonNotProven, proto.ReasonDriftLoop}, d.Reason) {
		c.Status, c.Reason, c.Message = proto.StatusTrue, d.Reason, d.Message
		if drifted(s, p) {
			c.Message = differences(s, p)
		}
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

func credentialsValid(s credentials.State) proto.Condition {
	return proto.Condition{Type: proto.ConditionCredentialsValid, Status: truth(s.Reason == ""), Reason: s.Reason, Message: s.Message}
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

func rebootProtected(s loader.Support) proto.Condition {
	c := proto.Condition{Type: proto.ConditionRebootProtected, Status: truth(s.Protection == loader.OneShot)}
	if c.Status == proto.StatusFalse {
		c.Reason, c.Message = proto.ReasonUnprotected, s.Reason
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

// StatusFromFiles returns how a host is whose agent does not answer, as far as
// its files and links say.
func StatusFromFiles(host proto.HostName, stateDir, runtimeDir string, now time.Time) proto.Status {
	files := statefile.Dir{State: stateDir, Runtime: runtimeDir}
	d := readDisk(files, profile.System{}.Systems, now)
	id, err := machine.BootID("")
	boot, bootErr := files.Boot()
	return proto.Status{
		Host: host, Time: now, BootID: id, Systems: d.systems, Deployment: d.record.Status(),
		Conditions: append(d.conditions(errors.Join(err, bootErr)), storeValid(view{boot: boot}), runsWithdrawn(view{}, d)),
	}
}
