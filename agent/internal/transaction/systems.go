package transaction

import (
	"errors"
	"fmt"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/profile"
	"kedge/proto"
)

// An intrusion is the error of a step that found the system changed by somebody
// else: nothing more is touched.
type intrusion struct {
	found string
	// profile is what the system profile names; zero if that is no system.
	profile proto.StorePath
}

// Error implements error.
func (i *intrusion) Error() string { return "somebody else changed the system: " + i.found }

// intruded is for systems that are not as they were expected.
func intruded(s proto.Systems) *intrusion {
	return &intrusion{found: fmt.Sprintf("%s runs and the profile names %s", s.Current, s.Profile), profile: s.Profile}
}

func (i *intrusion) step() deployment.Step {
	return because(proto.PhaseSuperseded, proto.ReasonThirdParty, "%v; nothing more was touched", i)
}

// look reads the systems. If they are not as expected it fails with an
// [*intrusion].
func (t *transaction) look(expected func(s proto.Systems) bool) (proto.Systems, error) {
	s, err := t.Host.Systems()
	if link, foreign := errors.AsType[*profile.LinkError](err); foreign {
		return s, &intrusion{found: link.Error()} // no effect of ours leaves such a link
	}
	if err != nil {
		return s, fmt.Errorf("look at the systems: %w", err)
	}
	if !expected(s) {
		return s, intruded(s)
	}
	return s, nil
}

// are expects exactly these systems.
func are(current, registered proto.StorePath) func(s proto.Systems) bool {
	return func(s proto.Systems) bool { return s.Current == current && s.Profile == registered }
}

// untouched expects the systems as they were when the deployment began: after a
// boot of somebody else's the proven one runs in the place of what was only tried,
// or of its specialisation.
func (t *transaction) untouched(s proto.Systems) bool {
	before := s.Current == t.d.Runs() || s.Current == t.d.BackTo() || s.Current == t.d.Proven.Toplevel
	return s.Profile == t.d.Proven.Toplevel && before
}

// ours expects the system as this deployment, and nobody else, may have left
// it.
func (t *transaction) ours(s proto.Systems) bool {
	mine := func(p proto.StorePath) bool { return p == t.d.Toplevel || p == t.d.Proven.Toplevel }
	current := mine(s.Current) || s.Current == t.d.System() || s.Current == t.d.BackTo() || s.Current == t.d.Runs()
	// An activation that died may have left none: that was not somebody else.
	if !current && !s.Current.IsZero() {
		return false
	}
	if t.d.Registered {
		return mine(s.Profile)
	}
	return s.Profile == t.d.Proven.Toplevel
}

// runs reports whether p runs whole: it was activated in this boot to the end,
// or booted, and nothing else was begun since. That /run/current-system names
// it does not say as much.
func (t *transaction) runs(p proto.StorePath, s proto.Systems, rebooted bool) bool {
	began := t.d.Activated
	if rebooted {
		began = s.Booted
	}
	return s.Current == p && began == p
}
