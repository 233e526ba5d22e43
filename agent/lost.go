package agent

import "kedge/proto"

// lostTheWay reports whether the last rollback failed and nothing healed the
// host since: whatever the links say, it is not known what runs.
func (o Observation) lostTheWay() bool {
	return o.Record.Phase == proto.PhaseRollbackFailed && o.Record.BootID == o.BootID
}

// lost is for a host on which the way back failed: a person should look.
func lost(o Observation) Decision {
	then := "reboot the host"
	if o.Systems.Profile == o.Proven.Toplevel {
		then += ", or assign another system to it"
	}
	return Decision{Action: ActionRest, Reason: proto.ReasonRollbackFailed, Message: then + "; " + o.Record.Message}
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
