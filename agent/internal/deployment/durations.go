package deployment

import (
	"slices"
	"time"

	"kedge/proto"
)

// Durations returns how long d was in each phase that it has entered and that is not
// an end, until now; by the host's clock, and never less than nothing.
func (d Deployment) Durations(now time.Time) map[proto.Phase]time.Duration {
	all := map[proto.Phase]time.Duration{}
	for i, s := range d.History {
		if s.Phase.Terminal() {
			continue
		}
		until := now
		if i+1 < len(d.History) {
			until = d.History[i+1].Time
		}
		all[s.Phase] += max(0, until.Sub(s.Time))
	}
	return all
}

// WentBack returns why d went back to the proven system, if it came to an end there,
// or on the way.
func (d Deployment) WentBack() (why proto.Reason, ended bool) {
	if !slices.Contains([]proto.Phase{proto.PhaseRolledBack, proto.PhaseInconclusive, proto.PhaseRollbackFailed}, d.Phase) {
		return "", false
	}
	for _, s := range d.History {
		if s.Phase == proto.PhaseRollingBack && s.Reason != "" {
			return s.Reason, true
		}
	}
	return d.Reason, true
}
