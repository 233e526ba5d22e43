package agent

import (
	"slices"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// lostTheWay reports whether the last rollback failed and nothing healed the
// host since: whatever the links say, it is not known what runs. That another
// deployment has begun heals nothing, as long as it has not touched the host.
func (o Observation) lostTheWay() bool {
	r := o.Record
	return (r.Phase == proto.PhaseRollbackFailed || r.Lost && !r.Restore && idle(r)) && r.BootID == o.BootID
}

// idle reports whether r has not touched what runs.
func idle(r deployment.Deployment) bool {
	return r.Phase == proto.PhaseFailed || r.Activations == 0 && r.RollbackActivations == 0 && r.Phase != proto.PhaseCommitted
}

// lost is for a host on which the way back failed: a person should look.
func lost(o Observation) Decision {
	then := "reboot the host"
	if o.Systems.Profile == o.Proven.Toplevel {
		then += ", or assign another system to it"
	}
	return Decision{Action: ActionRest, Reason: proto.ReasonRollbackFailed, Message: then + "; " + o.Record.Message}
}

// movesOn reports whether a host on which the way back failed is given another system
// than those that failed there. What that is gone back to, if it must, is what is proven:
// the profile has to name it, but it need not run.
func (o Observation) movesOn() bool {
	s, r := o.Systems, o.Record
	if !o.lostTheWay() || s.Profile != o.Proven.Toplevel || s.Current.IsZero() || o.Order == nil {
		return false
	}
	wanted, ours := o.Order.Release.Toplevel, []proto.StorePath{r.Toplevel, r.System(), r.From}
	failed := wanted == s.Toplevel() || wanted == r.Toplevel && r.Phase == proto.PhaseRollbackFailed
	return !failed && slices.Contains(ours, s.Current)
}

// left reports whether a failed way back left in place what differs from what was
// proven: nobody proved or chose that, also where it could be booted since, and where
// going back once more could not begin.
func (o Observation) left() bool {
	r, s := o.Record, o.Systems
	failed := r.Phase == proto.PhaseRollbackFailed || r.Phase == proto.PhaseFailed && r.Restore && r.Lost
	return failed && (s.Toplevel() == r.Toplevel || s.Current == r.System() || s.Profile == r.Toplevel)
}

// leaveFailed brings back what was proven in place of what a failed way back left:
// once in a boot, whatever the policy. If that could not begin, it is tried again as any
// fetch that failed.
func leaveFailed(o Observation) Decision {
	if o.Record.Phase == proto.PhaseFailed {
		if d := decideAgain(o); d.Action == ActionRest {
			return d
		}
	}
	o.Drift.Restored = nil // nobody fights over it: what bounds the tries is how they end
	return goBack(o)
}

// after has d begin where the way back of r has failed: what was wrong with the units
// before r counts for d, and what r may have made the boot default is not known.
func after(r, d deployment.Deployment) deployment.Deployment {
	d.Lost, d.BootID = true, r.BootID
	d.FailedBefore, d.RestartingBefore = r.FailedBefore, r.RestartingBefore
	d.Proven.Adopted = d.Proven.Adopted || r.Registered || r.Proven.Adopted
	return d
}
