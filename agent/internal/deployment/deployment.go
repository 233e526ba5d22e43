// Package deployment holds the record of one deployment: the agent's and the
// transaction's shared, durable memory, and the table of phases that it may go
// through.
//
// A deployment is one host, one assignment, one attempt. Its record is saved
// before and after every effect, and says everything that is needed to go on
// after a crash: no step reads the bus, the network or the configuration.
package deployment

import (
	"fmt"
	"slices"
	"time"

	"kedge/proto"
)

// A Deployment is the record. The zero value is no deployment.
//
// Fields may be added; they are never renamed or given another meaning within
// a format, because the proven system's older agent must be able to read what
// a newer one wrote.
type Deployment struct {
	ID string `json:"id"`
	// Attempt counts the deployments of this assignment on this host, from 1.
	Attempt int `json:"attempt"`
	// Interrupted counts those before this one that were ended from outside:
	// by a boot, or by kills.
	Interrupted int             `json:"interrupted,omitempty"`
	Serial      proto.Serial    `json:"serial"`
	Release     proto.Digest    `json:"release"`
	Toplevel    proto.StorePath `json:"toplevel"`
	Revision    proto.Revision  `json:"revision,omitzero"`
	// Specialisation is the one of Toplevel that is made run, as Toplevel's own
	// configuration has it; known from PhaseFetched on.
	Specialisation Specialisation `json:"specialisation,omitzero"`

	// Origin says who wanted it.
	Origin Origin `json:"origin,omitempty"`
	// Restore is true for one that only goes back: Toplevel runs, or is
	// registered, in the place of Proven; or a specialisation of it in the place of
	// Back.
	Restore bool `json:"restore,omitempty"`
	// Plain is true for one that somebody asked for who named neither a generation nor a
	// reboot: who asks so once more wants the same.
	Plain bool `json:"plain,omitempty"`

	// Lost is true for one that begins where a way back has failed, in the boot LostIn:
	// what that left running is proven by nobody, and the [Baseline] is that of before.
	Lost   bool   `json:"lost,omitempty"`
	LostIn string `json:"lost_in,omitempty"`
	// LostTo are the systems that ways back which failed have left, and a boot may lead to,
	// until one after them was judged good, or gone back from.
	LostTo []proto.StorePath `json:"lost_to,omitempty"`

	// Proven is the rollback target, named before the first effect.
	Proven Proven `json:"proven"`
	// Back is the specialisation of Proven that it goes back to: what of it ran at
	// the beginning, or should have.
	Back Specialisation `json:"back,omitzero"`
	// Agent is the proven system's agent binary: what runs the transaction,
	// whatever happens to the agent meanwhile.
	Agent string `json:"agent"`
	// Probation is how the new system is judged, by its own configuration.
	Probation Probation `json:"probation"`
	// Mode is what the assignment asks for, and Way how that is done here; Way is
	// known from PhaseFetched on.
	Mode proto.Mode `json:"mode,omitempty"`
	Way  Way        `json:"way,omitempty"`
	// From is what runs at the beginning, if that is nothing of Proven: a system that
	// was only tried, or that a failed way back left.
	From proto.StorePath `json:"from,omitzero"`
	// Reboot names what of the new system takes effect with a reboot only, and
	// Inhibitors why it cannot be switched to without one.
	Reboot     []string `json:"reboot,omitempty"`
	Inhibitors []string `json:"inhibitors,omitempty"`
	// HooksAgreed is true once the hooks that may refuse the activation have run.
	HooksAgreed bool `json:"hooks_agreed,omitempty"`
	// DrainedIn is the boot in which the hooks that may put a reboot off were begun,
	// until what they did was undone; Drained is true once they have agreed in it.
	DrainedIn string `json:"drained_in,omitempty"`
	Drained   bool   `json:"drained,omitempty"`
	// Leased is true once a reboot lease was asked for, for it or for one before it
	// that could not give it back; it is given back once the host does not reboot.
	Leased bool `json:"leased,omitempty"`
	// Boots says how it may be booted.
	Boots Boots `json:"boots,omitzero"`
	// RollbackProbation is how the proven system is judged once it is back.
	RollbackProbation Probation `json:"rollback_probation"`
	// ActivationTimeout bounds one run of switch-to-configuration.
	ActivationTimeout time.Duration `json:"activation_timeout"`

	Phase   proto.Phase        `json:"phase"`
	Reason  proto.Reason       `json:"reason,omitempty"`
	Message string             `json:"message,omitempty"`
	Failed  []proto.FailedUnit `json:"failed,omitempty"`
	Started time.Time          `json:"started"`
	Since   time.Time          `json:"since"` // in Phase since
	// Uptime is how long the boot of BootID was up when the probation began, which no
	// change of the clock changes; zero if that is not known.
	Uptime  time.Duration `json:"uptime,omitempty"`
	History []Step        `json:"history"`

	// FailedBefore and RestartingBefore are the [Baseline].
	FailedBefore     []string `json:"failed_before,omitempty"`
	RestartingBefore []string `json:"restarting_before,omitempty"`
	// BootID is the boot in which an activation was last begun, of either system;
	// of a failed rollback, the boot in which it failed.
	BootID string `json:"boot_id,omitempty"`
	// Activated is the system whose activation that was, once it has run to its
	// end; zero before.
	Activated proto.StorePath `json:"activated,omitzero"`
	// Activations, CommitActivations and RollbackActivations count the runs that
	// were begun: to try Toplevel, to commit it after a power loss, to go back.
	Activations         int `json:"activations,omitempty"`
	CommitActivations   int `json:"commit_activations,omitempty"`
	RollbackActivations int `json:"rollback_activations,omitempty"`
	// Armed is true once the boot after that of BootID may be the trial boot, and
	// Parked once nothing is left to do but to wait for it.
	Armed  bool `json:"armed,omitempty"`
	Parked bool `json:"parked,omitempty"`
	// Trial is true from the trial boot on, whose id is BootID: there is no way
	// back but by another boot.
	Trial bool `json:"trial,omitempty"`
	// TrialBoots, CommitBoots and RollbackBoots count the reboots that were begun,
	// as the counts of activations do.
	TrialBoots    int `json:"trial_boots,omitempty"`
	CommitBoots   int `json:"commit_boots,omitempty"`
	RollbackBoots int `json:"rollback_boots,omitempty"`
	// Checks are the results at the end of Toplevel's probation.
	Checks []proto.CheckResult `json:"checks,omitempty"`
	// Registered is true once the profile or the boot default may name Toplevel.
	Registered bool `json:"registered,omitempty"`
	// Generation is the number of Toplevel in the system profile, once registered.
	Generation proto.Generation `json:"generation,omitempty"`
	// Lifted is true once somebody on the host wants another attempt, after its end.
	Lifted bool `json:"lifted,omitempty"`
}

// A Baseline is what was wrong with the units before the activation, which
// switch-to-configuration makes systemd forget.
type Baseline struct {
	// Failed are the units that were failed.
	Failed []string
	// Restarting are the services that kept failing and being restarted, and ran
	// when they were looked at.
	Restarting []string
}

// A Proven is the last system that proved itself.
type Proven struct {
	Toplevel   proto.StorePath  `json:"toplevel"`
	Generation proto.Generation `json:"generation,omitempty"`
	Revision   proto.Revision   `json:"revision,omitzero"`
	// Specialisation is the one of Toplevel that was judged.
	Specialisation Specialisation `json:"specialisation,omitzero"`
	// Release is that of the deployment which proved it; zero if none did.
	Release proto.Digest `json:"release,omitzero"`
	// Adopted is true for a system that was found running and registered, and
	// that no deployment of ours proved. Its boot default is not known.
	Adopted bool      `json:"adopted,omitempty"`
	Since   time.Time `json:"since"`
	// Previous is what was proven before, and somebody may go back to; zero if
	// that is not known.
	Previous Previous `json:"previous,omitzero"`
}

// A Probation says how a system is judged after its activation.
type Probation struct {
	// Grace is how long units may take to settle before failed ones count.
	Grace time.Duration `json:"grace"`
	// Deadline bounds the whole probation.
	Deadline time.Duration `json:"deadline"`
	// Checks must pass, each by the deadline.
	Checks []Check `json:"checks,omitempty"`
	// IgnoreUnits are name patterns (path.Match) of units whose failure does
	// not count.
	IgnoreUnits []string `json:"ignore_units,omitempty"`
}

// A Step is one entry of the history: a phase that was entered, and why.
type Step struct {
	Phase   proto.Phase        `json:"phase"`
	Time    time.Time          `json:"time"`
	Reason  proto.Reason       `json:"reason,omitempty"`
	Message string             `json:"message,omitempty"`
	Failed  []proto.FailedUnit `json:"failed,omitempty"`
}

// Why returns what a line of the log says of a step's, or a decision's, reason and message:
// nothing of what is empty.
func Why(r proto.Reason, message string) (attributes []any) {
	if r != "" {
		attributes = append(attributes, "reason", r)
	}
	if message != "" {
		attributes = append(attributes, "detail", message)
	}
	return attributes
}

// Baseline returns what was wrong before d's activation.
func (d Deployment) Baseline() Baseline {
	return Baseline{Failed: d.FailedBefore, Restarting: d.RestartingBefore}
}

// Runs returns the system that runs when d begins.
func (d Deployment) Runs() proto.StorePath {
	if d.From.IsZero() {
		return d.BackTo()
	}
	return d.From
}

// Terminal reports whether d is over, or never was.
func (d Deployment) Terminal() bool { return d.Phase == proto.PhaseNone || d.Phase.Terminal() }

// Fetched reports whether d waits for its transaction to begin.
func (d Deployment) Fetched() bool { return d.Phase == proto.PhaseFetched }

// AwaitsBoot reports whether d waits for a boot, and boot is still the one in
// which it was armed.
func (d Deployment) AwaitsBoot(boot string) bool {
	return d.Phase == proto.PhaseArmed && d.Parked && d.BootID == boot
}

// InTransaction reports whether d is in the hands of the transaction: only a
// transaction may settle it. One that is parked is in nobody's.
func (d Deployment) InTransaction() bool {
	switch d.Phase {
	case proto.PhaseActivating, proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseRollingBack,
		proto.PhaseStaging:
		return true
	case proto.PhaseArmed:
		return !d.Parked
	case proto.PhaseNone, proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseStaged,
		proto.PhaseCommitted, proto.PhaseTried, proto.PhaseRolledBack, proto.PhaseInconclusive, proto.PhaseRollbackFailed,
		proto.PhaseFailed, proto.PhaseRefused, proto.PhaseSuperseded:
		return false
	}
	return false
}

// EndedFromOutside reports whether d came to nothing because of what happened
// to the host, and not because of what the new system did.
func (d Deployment) EndedFromOutside() bool {
	return slices.Contains([]proto.Reason{proto.ReasonPowerLoss, proto.ReasonInterrupted, proto.ReasonTrialBootFailed}, d.Reason)
}

// Unit returns the name of the transaction's transient unit.
func (d Deployment) Unit() string { return "kedge-transact-" + d.ID + ".service" }

// transitions is the whole state machine. A phase that is missing is an end.
func transitions() map[proto.Phase][]proto.Phase {
	return map[proto.Phase][]proto.Phase{
		proto.PhaseNone: {proto.PhaseAccepted},
		// Until the activation nothing was touched.
		proto.PhaseAccepted: {proto.PhaseFetched, proto.PhaseFailed, proto.PhaseSuperseded},
		// Back only if there is nothing else to do.
		proto.PhaseFetched: {
			proto.PhaseActivating, proto.PhaseStaging, proto.PhaseTried, proto.PhaseRollingBack, proto.PhaseFailed, proto.PhaseSuperseded,
		},
		// Failed only if switch-to-configuration refused before it touched anything.
		proto.PhaseActivating:  {proto.PhaseProbation, proto.PhaseRollingBack, proto.PhaseFailed, proto.PhaseSuperseded},
		proto.PhaseProbation:   {proto.PhaseCommitting, proto.PhaseTried, proto.PhaseRollingBack, proto.PhaseSuperseded},
		proto.PhaseStaging:     {proto.PhaseStaged, proto.PhaseRollingBack, proto.PhaseSuperseded},
		proto.PhaseStaged:      {proto.PhaseArmed, proto.PhaseFailed, proto.PhaseSuperseded},
		proto.PhaseArmed:       {proto.PhaseProbation, proto.PhaseRollingBack, proto.PhaseSuperseded},
		proto.PhaseCommitting:  {proto.PhaseCommitted, proto.PhaseRollingBack, proto.PhaseSuperseded},
		proto.PhaseRollingBack: {proto.PhaseRolledBack, proto.PhaseInconclusive, proto.PhaseRollbackFailed, proto.PhaseSuperseded},
	}
}

// Next returns the phases that may follow p, none for an end.
func Next(p proto.Phase) []proto.Phase { return transitions()[p] }

// Advance returns d in phase s.Phase, with s at the end of its history. The
// reason of a deployment is that of the step that decided it: a later step
// without one keeps it, and a bad end repeats it. It fails if that phase may not
// follow d's.
func (d Deployment) Advance(s Step) (Deployment, error) {
	if !slices.Contains(Next(d.Phase), s.Phase) {
		return d, fmt.Errorf("deployment %s: %q cannot follow %q", d.ID, s.Phase, d.Phase)
	}
	if s.Reason == "" && s.Phase.Verdict().Bad() {
		s.Reason, s.Message, s.Failed = d.Reason, d.Message, d.Failed
	}
	d.Phase, d.Since = s.Phase, s.Time
	if s.Reason != "" {
		d.Reason, d.Message = s.Reason, s.Message
	}
	if s.Phase == proto.PhaseTried { // what it said is what it was for
		d.Message = s.Message
	}
	if len(s.Failed) > 0 {
		d.Failed = s.Failed
	}
	d.History = append(slices.Clip(d.History), s)
	return d, nil
}

// Status returns d as it is reported.
func (d Deployment) Status() proto.DeploymentStatus {
	return proto.DeploymentStatus{
		ID:             d.ID,
		Serial:         d.Serial,
		Toplevel:       d.Toplevel,
		Revision:       d.Revision,
		Specialisation: d.Specialisation.Name,
		Phase:          d.Phase,
		Verdict:        d.Phase.Verdict(),
		Way:            string(d.Way),
		Reason:         d.Reason,
		Message:        d.Message,
		Started:        d.Started,
		Since:          d.Since,
		Failed:         d.Failed,
		Reboot:         d.Reboot,
		Checks:         d.Checks,
	}
}
