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
	return (r.Phase == proto.PhaseRollbackFailed || r.Lost && !r.Restore && idle(r)) && lostIn(r) == o.BootID
}

// lostIn returns the boot in which the way back failed, of r or before it.
func lostIn(r deployment.Deployment) string {
	if r.Phase == proto.PhaseRollbackFailed {
		return r.BootID
	}
	return r.LostIn
}

// lostTo returns the systems that ways back which failed have left, of r or before it.
// Of one that was to bring back a specialisation, all are of the proven system.
func lostTo(r deployment.Deployment) []proto.StorePath {
	if r.Phase != proto.PhaseRollbackFailed || r.Respecialises() {
		return r.LostTo
	}
	all := append(slices.Clone(r.LostTo), r.Toplevel, r.System())
	slices.SortFunc(all, proto.StorePath.Compare)
	return slices.Compact(all)
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
// going back once more, or another deployment, could not begin.
func (o Observation) left() bool {
	s := o.Systems
	there := []proto.StorePath{s.Toplevel(), s.Current, s.Profile}
	return slices.ContainsFunc(lostTo(o.Record), func(p proto.StorePath) bool { return slices.Contains(there, p) })
}

// leaveFailed brings back what was proven in place of what a failed way back left:
// once in a boot, whatever the policy. If that could not begin, it is tried again as any
// fetch that failed.
func leaveFailed(o Observation) Decision {
	if r := o.Record; r.Restore && r.Phase == proto.PhaseFailed {
		if d := decideAgain(o); d.Action == ActionRest {
			return d
		}
	}
	o.Drift.Restored = nil // nobody fights over it: what bounds the tries is how they end
	return goBack(o)
}

// after has d begin after o's record. Where a way back has failed, what was wrong with the
// units before counts for d, and what that way back may have made the boot default is not
// known.
func (o Observation) after(d deployment.Deployment) deployment.Deployment {
	r := o.Record
	d.Lost, d.LostTo = o.lostTheWay() || o.left(), lostTo(r)
	if !d.Lost && len(d.LostTo) == 0 {
		return d
	}
	d.LostIn = lostIn(r)
	d.FailedBefore, d.RestartingBefore = r.FailedBefore, r.RestartingBefore
	d.Proven.Adopted = d.Proven.Adopted || r.Registered || r.Proven.Adopted
	return d
}
