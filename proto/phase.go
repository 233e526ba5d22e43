package proto

import "slices"

// A Phase is how far one deployment has come on its host. Values reach disk
// and wire. The zero value is no deployment.
type Phase string

// The phases of a deployment. [Phases] lists them in the order of a good
// deployment, then the ways out.
const (
	PhaseNone           Phase = ""                // no deployment yet
	PhaseAccepted       Phase = "accepted"        // verified; being fetched
	PhaseFetched        Phase = "fetched"         // the closure is here, verified and rooted
	PhaseActivating     Phase = "activating"      // switch-to-configuration runs, or ran and was not judged
	PhaseProbation      Phase = "probation"       // active, not yet proven
	PhaseCommitting     Phase = "committing"      // proven; being registered and made the boot default
	PhaseCommitted      Phase = "committed"       // the proven system, its profile and its boot default
	PhaseTried          Phase = "tried"           // run as mode test or dry-activate asks; nothing was registered
	PhaseStaging        Phase = "staging"         // being prepared for a trial boot
	PhaseStaged         Phase = "staged"          // waits for its trial boot
	PhaseArmed          Phase = "armed"           // the next boot is its trial boot
	PhaseRollingBack    Phase = "rolling-back"    // going back to the proven system
	PhaseRolledBack     Phase = "rolled-back"     // back on the proven system, judged good
	PhaseInconclusive   Phase = "inconclusive"    // back on the proven system, nothing proven against the new one
	PhaseRollbackFailed Phase = "rollback-failed" // not back: a person should look
	PhaseFailed         Phase = "failed"          // ended before anything was touched
	PhaseRefused        Phase = "refused"         // not accepted
	PhaseSuperseded     Phase = "superseded"      // overtaken by a newer assignment, or by a third party
)

// Phases returns every phase but [PhaseNone].
func Phases() []Phase {
	return []Phase{
		PhaseAccepted, PhaseFetched, PhaseActivating, PhaseProbation, PhaseCommitting, PhaseCommitted,
		PhaseTried, PhaseStaging, PhaseStaged, PhaseArmed,
		PhaseRollingBack, PhaseRolledBack, PhaseInconclusive, PhaseRollbackFailed,
		PhaseFailed, PhaseRefused, PhaseSuperseded,
	}
}

// Verdict returns what a deployment in phase p has come to.
func (p Phase) Verdict() Verdict {
	switch p {
	case PhaseNone:
		return VerdictNone
	case PhaseAccepted, PhaseFetched, PhaseActivating, PhaseProbation, PhaseCommitting,
		PhaseStaging, PhaseStaged, PhaseArmed, PhaseRollingBack:
		return VerdictPending
	case PhaseCommitted:
		return VerdictSucceeded
	case PhaseTried:
		return VerdictTried
	case PhaseRolledBack:
		return VerdictRolledBack
	case PhaseInconclusive:
		return VerdictInconclusive
	case PhaseRollbackFailed:
		return VerdictRollbackFailed
	case PhaseFailed:
		return VerdictFailed
	case PhaseRefused:
		return VerdictRefused
	case PhaseSuperseded:
		return VerdictSuperseded
	}
	return VerdictNone
}

// Terminal reports whether a deployment in phase p is over.
func (p Phase) Terminal() bool {
	v := p.Verdict()
	return v != VerdictNone && v != VerdictPending
}

// UnmarshalText refuses a phase that is not known.
func (p *Phase) UnmarshalText(b []byte) error {
	v, err := parseEnum("phase", b, append(Phases(), PhaseNone))
	if err != nil {
		return err
	}
	*p = v
	return nil
}

// A Verdict is what a deployment came to. It never says more than was
// observed. The zero value is no deployment.
type Verdict string

// It follows from the phase that the deployment is in.
const (
	VerdictNone           Verdict = ""                // nothing was ever deployed
	VerdictPending        Verdict = "pending"         // not decided yet
	VerdictSucceeded      Verdict = "succeeded"       // runs, no unit newly failed, checks passed, fresh contact
	VerdictTried          Verdict = "tried"           // done as mode test or dry-activate asks; nothing was registered
	VerdictRolledBack     Verdict = "rolled-back"     // the new system was at fault; the proven one runs
	VerdictInconclusive   Verdict = "inconclusive"    // the proven system runs; nothing is proven against the new one
	VerdictRollbackFailed Verdict = "rollback-failed" // the proven system could not be brought back
	VerdictFailed         Verdict = "failed"          // given up before the running system was touched
	VerdictRefused        Verdict = "refused"         // never accepted
	VerdictSuperseded     Verdict = "superseded"      // overtaken; nothing more was touched
)

// Verdicts returns every verdict but [VerdictNone].
func Verdicts() []Verdict {
	return []Verdict{
		VerdictPending, VerdictSucceeded, VerdictTried, VerdictRolledBack, VerdictInconclusive,
		VerdictRollbackFailed, VerdictFailed, VerdictRefused, VerdictSuperseded,
	}
}

// Bad reports whether v is an end that a script should take for a failure.
func (v Verdict) Bad() bool {
	return slices.Contains([]Verdict{
		VerdictRolledBack, VerdictInconclusive, VerdictRollbackFailed,
		VerdictFailed, VerdictRefused, VerdictSuperseded,
	}, v)
}

// UnmarshalText refuses a verdict that is not known.
func (v *Verdict) UnmarshalText(b []byte) error {
	w, err := parseEnum("verdict", b, append(Verdicts(), VerdictNone))
	if err != nil {
		return err
	}
	*v = w
	return nil
}
