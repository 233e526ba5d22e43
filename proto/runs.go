package proto

import "slices"

// Condition returns the condition of a type, if the host reports it.
func (s Status) Condition(t ConditionType) (Condition, bool) {
	for _, c := range s.Conditions {
		if c.Type == t {
			return c, true
		}
	}
	return Condition{}, false
}

// Runs reports whether the host says that toplevel is what it runs, in whatever
// specialisation, proven, and what it is content with. No host runs the zero
// StorePath.
func (s Status) Runs(toplevel StorePath) bool {
	ready, known := s.Condition(ConditionReady)
	return known && ready.Status == StatusTrue && !toplevel.IsZero() &&
		s.Systems.Toplevel() == toplevel && s.Systems.Proven == toplevel
}

// Rests reports whether the host says that it does not begin what it accepted, and will
// not without somebody's doing.
func (s Status) Rests() bool {
	ready, _ := s.Condition(ConditionReady)
	return ready.Status == StatusFalse && slices.Contains(RestingReasons(), ready.Reason)
}

// Retries reports whether the host says that it tries again what it deployed last, or does
// not say yet that it does not.
func (s Status) Retries() bool {
	ready, _ := s.Condition(ConditionReady)
	return ready.Status == StatusUnknown || ready.Reason == ReasonRetrying || ready.Reason == ReasonDeploying
}
