package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// A LeaseState is how it stands with the lease for the record's reboot.
type LeaseState struct {
	Needed  bool
	Granted bool
	Message string    // why not, when it was last asked for
	Again   time.Time // when to ask again
}

// leaseRetry is how long after a refusal the lease is asked for again.
const leaseRetry = time.Minute

// runsTried reports whether the host runs what the record only tried; or what one
// before it did, and the record has left running. What a failed way back left is not
// that.
func (o Observation) runsTried() bool {
	r, s := o.Record, o.Systems
	tried := r.Phase == proto.PhaseTried && s.Current == r.System() || !r.From.IsZero() && s.Current == r.From
	return tried && s.Profile == o.Proven.Toplevel && !o.lostTheWay() && !o.left()
}

// runsNow reports whether m makes a system run now, and not at the next boot.
func runsNow(m proto.Mode) bool { return m != proto.ModeBoot && m != proto.ModeDryActivate }

// leaveTried is for a host that runs what was tried, and shall run what is proven.
func leaveTried(o Observation) Decision {
	if r := o.Record; r.Origin == deployment.OriginDrift && r.Phase == proto.PhaseFailed {
		if d := decideAgain(o); d.Action == ActionRest {
			return d
		}
	}
	return Decision{
		Action: ActionRestore, Reason: proto.ReasonDriftRestored,
		Message: differences(o.Systems, o.Proven) + ": it was tried, and what is proven is assigned",
	}
}

// decideBoot is for a record that waits for its trial boot.
func decideBoot(o Observation) Decision {
	r := o.Record
	newer := r.Ordered() && o.Order != nil && !o.sameOrder()
	if r.Phase == proto.PhaseArmed {
		switch {
		case !r.AwaitsBoot(o.BootID):
			return Decision{Action: ActionSettle, Reason: proto.ReasonDeploying}
		case newer:
			return Decision{Action: ActionAbandon, Reason: proto.ReasonNewerAssignment, Message: o.overtaken()}
		case o.intruded():
			return Decision{Action: ActionAbandon, Reason: proto.ReasonThirdParty, Message: o.intrusion()}
		case r.Ordered() && o.Order == nil && o.Refusal != nil:
			return Decision{Action: ActionAbandon, Reason: o.Refusal.Reason, Message: o.Refusal.Error()}
		}
		return Decision{Action: ActionRest, Reason: proto.ReasonAwaitingBoot, Message: "takes effect when the host is booted, also while it is suspended; `" + takesBack(r, o.Proven) + "` takes it back"}
	}
	switch {
	case newer:
		return Decision{Action: ActionSupersede, Reason: proto.ReasonNewerAssignment, Message: o.overtaken()}
	case o.intruded():
		return Decision{Action: ActionSupersede, Reason: proto.ReasonThirdParty, Message: o.intrusion()}
	case !r.Ordered(): // nor is anything else waited for that somebody on the host wants
		return Decision{Action: ActionArm, Reason: proto.ReasonDeploying}
	case o.Order == nil && o.Withdrawn:
		return Decision{Action: ActionWithdraw, Reason: proto.ReasonWithdrawn}
	case o.Order == nil:
		return resting(o)
	case r.Way == deployment.WayBoot:
		return Decision{Action: ActionArm, Reason: proto.ReasonDeploying}
	}
	return decideReboot(o)
}

// intruded reports whether somebody else changed the system while the record waits
// for its boot. Where that is not protected, the profile names the new system.
func (o Observation) intruded() bool {
	r, s := o.Record, o.Systems
	registered := s.Profile == o.Proven.Toplevel || r.Registered && s.Profile == r.Toplevel
	return !registered || !slices.Contains([]proto.StorePath{o.Proven.Toplevel, r.BackTo(), r.Runs()}, s.Current)
}

func (o Observation) intrusion() string {
	return fmt.Sprintf("somebody else changed the system: %s runs and the profile names %s", o.Systems.Current, o.Systems.Profile)
}

// decideReboot is for a reboot that is ours to begin.
func decideReboot(o Observation) Decision {
	l := o.Lease
	switch {
	case o.Opens.After(o.Now) && !o.RebootConfirmed:
		return Decision{
			Action: ActionRest, Reason: proto.ReasonOutsideWindow, Again: o.Opens,
			Message: "may reboot from " + o.Opens.Format(time.RFC3339) + ", or now: run `kedge-agent confirm`",
		}
	case l.Needed && !l.Granted && l.Again.After(o.Now):
		return Decision{Action: ActionRest, Reason: proto.ReasonAwaitingLease, Message: l.Message, Again: l.Again}
	case l.Needed && !l.Granted:
		return Decision{Action: ActionLease, Reason: proto.ReasonAwaitingLease}
	}
	return Decision{Action: ActionArm, Reason: proto.ReasonDeploying}
}

func (o Observation) overtaken() string {
	return fmt.Sprintf("assignment %d overtook it", o.Order.Assignment.Serial)
}

// arm hands a staged deployment to its transaction, which makes the next boot
// its trial boot. It is verified once more, and the hooks are asked that may put
// a reboot off.
func (a *Agent) arm(ctx context.Context, r deployment.Deployment) (again bool, err error) {
	if r.Ordered() {
		if refused, err := a.verifyAgain(ctx, r); refused || err != nil {
			return refused, err
		}
	}
	if r.Way == deployment.WayReboot {
		if waits, err := a.beforeReboot(ctx, r); waits || err != nil {
			return false, err
		}
	}
	return true, a.edit(func(d deployment.Deployment) (deployment.Deployment, error) {
		if d.ID != r.ID || d.Phase != proto.PhaseStaged {
			return d, errOvertaken
		}
		d.BootID = a.Identity.BootID
		return d.Advance(deployment.Step{Phase: proto.PhaseArmed, Time: a.Now()})
	})
}

// release has what was held go on, in the way that it takes then.
func (a *Agent) release(r deployment.Deployment) error {
	return a.edit(func(d deployment.Deployment) (deployment.Deployment, error) {
		if d.ID != r.ID || !d.Fetched() || d.Way != deployment.WayHold {
			return d, errOvertaken
		}
		d.Way = unheld(d)
		return d, nil
	})
}

// idle reports whether the host does not reboot for o's record soon, whatever lease
// it has for that. While nobody has asked yet what is desired, that is not known.
func (o Observation) idle(d Decision) bool {
	r := o.Record
	if r.Phase == proto.PhaseStaged {
		known := o.Order != nil || o.Refusal != nil
		return known && d.Action == ActionRest && d.Reason != proto.ReasonAwaitingLease
	}
	return r.Terminal() || r.Fetched() || r.Phase == proto.PhaseAccepted || r.AwaitsBoot(o.BootID)
}

// abandon has the transaction take back what was armed.
func (a *Agent) abandon(r deployment.Deployment, d Decision) (again bool, err error) {
	return true, a.advance(r.ID, deployment.Step{Phase: proto.PhaseRollingBack, Reason: d.Reason, Message: d.Message})
}

// askLease asks for the lease. That it is needed is on the disk before: whatever
// happens, it is given back.
func (a *Agent) askLease(ctx context.Context, r deployment.Deployment) (again bool, err error) {
	if !r.Leased {
		err := a.edit(func(d deployment.Deployment) (deployment.Deployment, error) {
			if d.ID != r.ID || d.Phase != proto.PhaseStaged {
				return d, errOvertaken
			}
			d.Leased = true
			return d, nil
		})
		if err != nil {
			return false, err
		}
	}
	a.givenBack = ""
	a.lease = heldLease{deployment: r.ID, again: a.Now().Add(jitter(leaseRetry))}
	reply, err := a.Leases.AcquireLease(ctx, r.ID)
	switch {
	case err != nil:
		a.lease.message = "cannot be asked for: " + err.Error()
	case reply.Granted:
		a.lease.granted = true
	default:
		a.lease.message = reply.Message
	}
	return true, nil
}

// A heldLease is what the agent knows of the lease for one deployment.
type heldLease struct {
	deployment string
	granted    bool
	message    string
	again      time.Time
}

// leaseState returns how it stands with the lease for r.
func (a *Agent) leaseState(r deployment.Deployment) LeaseState {
	s := LeaseState{Needed: a.Config.Reboot.Lease}
	if a.lease.deployment == r.ID {
		s.Granted, s.Message, s.Again = a.lease.granted, a.lease.message, a.lease.again
	}
	return s
}

// giveBack gives the lease back that r needed, once, if the host does not reboot for
// it now. A host whose way back failed keeps it until another deployment follows:
// others should not follow before a person has looked.
func (a *Agent) giveBack(ctx context.Context, r deployment.Deployment) error {
	if !a.owesLease(r) || r.Phase == proto.PhaseRollbackFailed {
		return nil
	}
	if err := a.Leases.ReleaseLease(ctx, r.ID); err != nil {
		return fmt.Errorf("give the reboot lease back: %w", err)
	}
	a.lease, a.givenBack = heldLease{}, r.ID
	return nil
}

// owesLease reports whether there may be a lease that r, or one before it, has left
// behind: who takes r's place has to give it back.
func (a *Agent) owesLease(r deployment.Deployment) bool {
	return r.Leased && a.givenBack != r.ID
}

// verifyAgain verifies what r was made of once more. It reports whether that was
// refused, and r ended.
func (a *Agent) verifyAgain(ctx context.Context, r deployment.Deployment) (refused bool, err error) {
	_, err = a.verify(*a.look().desired)
	refusal, ok := errors.AsType[*proto.RefusalError](err)
	if !ok {
		return false, err
	}
	if err := a.advance(r.ID, deployment.Step{Phase: proto.PhaseFailed, Reason: refusal.Reason, Message: err.Error()}); err != nil {
		return false, err
	}
	return true, a.refuse(ctx, refusal)
}
