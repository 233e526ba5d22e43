package agent

import (
	"slices"
	"strings"
	"time"

	"kedge/agent/internal/credentials"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// An Observation is everything that a decision depends on.
type Observation struct {
	Record  deployment.Deployment // the current or the last deployment
	Proven  deployment.Proven     // zero before the first adoption
	Systems proto.Systems
	// Order is the newest desired state if it was verified; else nil, and
	// Refusal says why.
	Order   *proto.Order
	Refusal *proto.RefusalError
	// HeldUp is what a fetch has to wait for; empty for nothing.
	HeldUp string
	// Withdrawn is true if the release of a record that has touched nothing yet was
	// withdrawn.
	Withdrawn bool
	// Quarantine is what keeps Order's toplevel from being tried here; zero if
	// it may be.
	Quarantine statefile.Quarantine
	// Rung is true if somebody asked: what waits for a retry waits no longer
	// than it must.
	Rung bool
	// Verifying is true while the store is read after a boot without an orderly end:
	// nothing is begun.
	Verifying bool
	// Barred is why this machine may not act as the host; zero if it may.
	Barred credentials.State
	// Suspended is what keeps anything from being begun; nil if nothing does.
	Suspended *statefile.Suspension
	// Vetoes hold back the activation of what was fetched, RebootVetoes the reboot
	// for what was staged, each for at most InhibitMax from when it might begin.
	Vetoes       []statefile.Veto
	RebootVetoes []statefile.Veto
	InhibitMax   time.Duration
	// Confirmed is true if somebody said that the record's deployment, which
	// waits, may go on whatever holds it back.
	// RebootConfirmed is true if that was since it was staged: then its window is not
	// waited for either.
	Confirmed, RebootConfirmed bool
	// ConfirmAfter is how long what the policy holds waits for a person; zero for ever.
	ConfirmAfter time.Duration
	// Opens is when a reboot may begin: not in the future if it may now; and Due when
	// the record's might for the first time since it is staged.
	Opens time.Time
	Due   time.Time
	// Lease is how it stands with the lease that a reboot needs; the zero value is
	// for one that needs none.
	Lease LeaseState
	// Shall is the specialisation that the configuration of Proven names, and
	// Specialised is true if the host ran in that since it was booted.
	Shall       deployment.Specialisation
	Specialised bool
	// Drift is for systems that differ from Proven.
	Drift Drift
	// Silence is for a host that went back and hears from nobody.
	Silence Silence
	Now     time.Time
	// BootID is that of the running boot.
	BootID string
}

// sameOrder reports whether the record is of a deployment of Order.
func (o Observation) sameOrder() bool {
	return o.Record.Serial == o.Order.Assignment.Serial && o.Record.Release == o.Order.Assignment.Release
}

// An Action is what the agent does next.
type Action string

// The actions.
const (
	ActionRest      Action = "rest"      // nothing; Decision.Reason says why
	ActionSettle    Action = "settle"    // see to it that the record's transaction runs
	ActionFetch     Action = "fetch"     // go on fetching what the record accepted
	ActionAdopt     Action = "adopt"     // take the running, registered system as proven
	ActionSupersede Action = "supersede" // end the record: a newer assignment overtook it
	ActionWithdraw  Action = "withdraw"  // end the record: its release was withdrawn
	ActionDeploy    Action = "deploy"    // begin a deployment of Order
	ActionLease     Action = "lease"     // ask for the reboot lease
	ActionArm       Action = "arm"       // have the next boot be the record's trial boot
	ActionAbandon   Action = "abandon"   // have the record's transaction take back what was armed
	ActionRestore   Action = "restore"   // begin to bring back what was proven
	ActionResort    Action = "resort"    // reboot the host as a last resort
)

// A Decision is an action and why.
type Decision struct {
	Action  Action
	Reason  proto.Reason
	Message string
	// Attempt is the number of the deployment to begin.
	Attempt int
	// Again is when to decide anew even if nothing happens; zero for never.
	Again time.Time
}

// Decide says what to do now. It performs no I/O and reads no clock: the same
// observation gives the same decision.
//
// Whatever somebody on the host says, a transaction that has begun is settled,
// what somebody there wants is done, and what needs nothing to be done is rested
// on for its own reason.
func Decide(o Observation) Decision {
	d := decide(o)
	switch {
	case o.Record.InTransaction() || o.Record.Phase == proto.PhaseArmed || o.Record.ByHand() && (d.Action == ActionSettle || d.Action == ActionArm):
		return d
	case o.Barred.Bars() && d.begins():
		return whileBarred(o.Barred)
	case o.Suspended != nil && d.begins():
		return whileSuspended(*o.Suspended)
	case o.Verifying && d.begins():
		return whileVerifying()
	case d.Action == ActionSettle && o.inhibited(o.Vetoes, o.released()):
		return whileInhibited(o, o.Vetoes, o.released())
	case o.Record.Way == deployment.WayReboot && (d.Action == ActionLease || d.Action == ActionArm) && o.inhibited(o.RebootVetoes, o.due()):
		return whileInhibited(o, o.RebootVetoes, o.due())
	case d.Action == ActionRest && o.silent():
		return whileSilent(o, d)
	}
	return d
}

// begins reports whether d brings the host nearer to another system.
func (d Decision) begins() bool {
	return slices.Contains([]Action{ActionDeploy, ActionRestore, ActionFetch, ActionSettle, ActionLease, ActionArm}, d.Action)
}

func whileSuspended(s statefile.Suspension) Decision {
	return Decision{Action: ActionRest, Reason: proto.ReasonSuspended, Message: s.String(), Again: s.Until}
}

// inhibited reports whether vetoes hold back what might have begun at since. What is
// in the future is from before the clock was set back: it is held no longer.
func (o Observation) inhibited(by []statefile.Veto, since time.Time) bool {
	return len(by) > 0 && !o.Confirmed && o.Now.Before(since.Add(o.InhibitMax)) && o.Now.After(since.Add(-o.InhibitMax))
}

// held reports whether the record, which its policy holds, waits for a person still. What is in the future is
// as for [Observation.inhibited].
func (o Observation) held() bool {
	since, patience := o.Record.Since, o.ConfirmAfter
	return patience == 0 || o.Now.Before(since.Add(patience)) && o.Now.After(since.Add(-patience))
}

func whileHeld(o Observation) Decision {
	d := Decision{Action: ActionRest, Reason: proto.ReasonHeld, Message: "run `kedge-agent confirm` to let it go on; " + fetchedMessage(o.Record)}
	if o.ConfirmAfter > 0 {
		d.Again = o.Record.Since.Add(o.ConfirmAfter)
		d.Message = "it goes on by itself at " + d.Again.UTC().Format(time.RFC3339) + "; " + d.Message
	}
	return d
}

// released returns when the activation of the record might have begun.
func (o Observation) released() time.Time {
	if o.Record.Way == deployment.WayHold {
		return o.Record.Since.Add(o.ConfirmAfter)
	}
	return o.Record.Since
}

// due returns when the record's reboot might have begun.
func (o Observation) due() time.Time {
	if o.Due.After(o.Record.Since) {
		return o.Due
	}
	return o.Record.Since
}

func whileInhibited(o Observation, by []statefile.Veto, since time.Time) Decision {
	return Decision{
		Action: ActionRest, Reason: proto.ReasonInhibited, Message: everybody(by),
		Again: since.Add(o.InhibitMax),
	}
}

// everybody says who vetoes and why.
func everybody(vetoes []statefile.Veto) string {
	var all []string
	for _, v := range vetoes {
		all = append(all, v.String())
	}
	return strings.Join(all, "; ")
}

func decide(o Observation) Decision {
	r := o.Record
	if r.InTransaction() {
		return Decision{Action: ActionSettle, Reason: proto.ReasonDeploying}
	}
	if r.Phase == proto.PhaseStaged || r.Phase == proto.PhaseArmed {
		return decideBoot(o)
	}
	if !r.Terminal() { // accepted or fetched: nothing was touched yet
		return decideUntouched(o)
	}
	if d, done := decideSystem(o); done {
		return d
	}
	specialisation := decideSpecialisation(o)
	if specialisation.Action == ActionRestore {
		return specialisation
	}
	if o.Order == nil {
		return resting(o)
	}
	unjudged := false
	if o.Order.Release.Toplevel == o.Proven.Toplevel {
		unjudged = o.unjudged() && runsNow(o.Order.Assignment.Mode) && o.Order.Assignment.Mode != proto.ModeTest
		switch {
		case o.lostTheWay():
			return lost(o)
		case o.runsTried() && runsNow(o.Order.Assignment.Mode):
			return leaveTried(o)
		case !unjudged:
			return Decision{Action: ActionRest, Reason: proto.ReasonConverged, Message: specialisation.Message, Again: specialisation.Again}
		}
	}
	if q := o.Quarantine; q.Reason != "" {
		return whileQuarantined(q)
	}
	if !o.sameOrder() || unjudged && o.Record.Phase == proto.PhaseCommitted {
		return Decision{Action: ActionDeploy, Reason: proto.ReasonDeploying, Attempt: 1}
	}
	return decideAgain(o)
}

func resting(o Observation) Decision {
	if o.Refusal != nil {
		return Decision{Action: ActionRest, Reason: o.Refusal.Reason, Message: o.Refusal.Error()}
	}
	return Decision{Action: ActionRest, Reason: proto.ReasonNoDesired}
}

// decideUntouched is for a record whose transaction has not begun.
func decideUntouched(o Observation) Decision {
	switch {
	case !o.Record.Ordered():
		return Decision{Action: ActionSettle, Reason: proto.ReasonDeploying}
	case o.left() && !o.lostTheWay():
		return Decision{Action: ActionSupersede, Reason: proto.ReasonNotProven, Message: differences(o.Systems, o.Proven) + ": that is gone back from first"}
	case o.Order == nil && o.Withdrawn:
		return Decision{Action: ActionWithdraw, Reason: proto.ReasonWithdrawn}
	case o.Order == nil:
		return resting(o)
	case !o.sameOrder():
		return Decision{Action: ActionSupersede, Reason: proto.ReasonNewerAssignment, Message: o.overtaken()}
	case o.Record.Way == deployment.WayHold && !o.Confirmed && o.held():
		return whileHeld(o)
	case o.Record.Phase == proto.PhaseFetched:
		return Decision{Action: ActionSettle, Reason: proto.ReasonDeploying}
	default:
		return Decision{Action: ActionFetch, Reason: proto.ReasonDeploying, Message: o.HeldUp}
	}
}

// decideSystem compares what runs with what was proven. It is done unless both
// are the same.
func decideSystem(o Observation) (d Decision, done bool) {
	s := o.Systems
	switch {
	case !drifted(s, o.Proven), o.runsTried(), o.movesOn():
		return Decision{}, false
	case s.Toplevel() == s.Profile && !s.Current.IsZero() && !o.left() && o.adopts():
		return Decision{Action: ActionAdopt, Reason: proto.ReasonAdopted}, true
	case o.lostTheWay():
		return lost(o), true
	case o.left():
		return leaveFailed(o), true
	default:
		return decideDrift(o), true
	}
}

// decideAgain is for an assignment that was deployed before and does not run.
func decideAgain(o Observation) Decision {
	r := o.Record
	delay, again := retryDelay(r)
	if !again && !r.Lifted {
		reason := proto.ReasonGaveUp
		if r.Phase == proto.PhaseCommitted {
			reason = proto.ReasonDrifted // and somebody went back
		}
		if r.Phase == proto.PhaseTried {
			reason = proto.ReasonTried
		}
		return Decision{Action: ActionRest, Reason: reason, Message: string(r.Reason)}
	}
	switch {
	case r.Lifted:
		delay = 0
	case o.Rung:
		delay = min(delay, askedDelay(r))
	}
	// A record from the future is one from before the clock was set back.
	if at := r.Since.Add(delay); o.Now.Before(at) && o.Now.After(r.Since.Add(-delay)) {
		return Decision{Action: ActionRest, Reason: proto.ReasonRetrying, Message: string(r.Reason), Again: at}
	}
	return Decision{Action: ActionDeploy, Reason: proto.ReasonDeploying, Attempt: r.Attempt + 1}
}

// Delays before a deployment is tried again; they double with each attempt.
const (
	fetchRetryBase        = 10 * time.Second
	fetchRetryMax         = 10 * time.Minute
	inconclusiveRetryBase = 30 * time.Second
	inconclusiveRetryMax  = 30 * time.Minute
)

// retryDelay returns how long after its end a deployment is tried again, and
// whether it is at all.
func retryDelay(r deployment.Deployment) (time.Duration, bool) {
	switch r.Phase {
	case proto.PhaseInconclusive:
		if r.EndedFromOutside() && r.Interrupted == 0 {
			return 0, true
		}
		return backoff(inconclusiveRetryBase, inconclusiveRetryMax, r.Attempt), true
	case proto.PhaseFailed:
		if fetchFailed(r) {
			return backoff(fetchRetryBase, fetchRetryMax, r.Attempt), true
		}
		return backoff(inconclusiveRetryBase, inconclusiveRetryMax, r.Attempt), !permanent(r.Reason)
	case proto.PhaseRolledBack:
		// As long as the quarantine, also if that could not be written.
		return statefile.QuarantineLifetime, r.Reason != proto.ReasonRegisterFailed
	case proto.PhaseSuperseded: // as the same assignment is wanted still, not by another one
		return statefile.QuarantineLifetime, r.Reason == proto.ReasonRolledBackByHand
	case proto.PhaseNone, proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseActivating, proto.PhaseProbation,
		proto.PhaseCommitting, proto.PhaseCommitted, proto.PhaseTried, proto.PhaseStaging, proto.PhaseStaged, proto.PhaseArmed, proto.PhaseRollingBack,
		proto.PhaseRollbackFailed, proto.PhaseRefused:
		return 0, false
	}
	return 0, false
}

// askedDelay is how long somebody who asks has to wait. A bell proves nothing:
// what runs a program of a system, the new or the proven one, is not done as
// fast as it can be rung.
func askedDelay(r deployment.Deployment) time.Duration {
	if fetchFailed(r) {
		return 0
	}
	return inconclusiveRetryBase
}

// fetchFailed reports whether r ended because its closure could not be had.
func fetchFailed(r deployment.Deployment) bool {
	return r.Phase == proto.PhaseFailed && slices.Contains([]proto.Reason{
		proto.ReasonCacheUnreachable, proto.ReasonFetchFailed, proto.ReasonUntrustedPath,
		proto.ReasonDigestMismatch, proto.ReasonDiskFull, proto.ReasonReadOnly,
	}, r.Reason)
}

func backoff(base, most time.Duration, attempt int) time.Duration {
	d := base
	for range attempt - 1 {
		if d *= 2; d >= most {
			return most
		}
	}
	return d
}

// permanent reports whether trying the same release again cannot end otherwise.
func permanent(r proto.Reason) bool {
	return slices.Contains([]proto.Reason{
		proto.ReasonNotAToplevel, proto.ReasonNoAgent, proto.ReasonBadConfig,
		proto.ReasonNoSpecialisation, proto.ReasonRebootNeeded, proto.ReasonUnprotected, proto.ReasonCheckRefused,
	}, r)
}
