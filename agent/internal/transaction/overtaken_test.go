package transaction_test

import (
	"slices"
	"testing"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// TestSomebodyRegistersWhatIsArmed has somebody else register the very system that was to
// have a trial boot: that is left to them, and all that they did for it.
func TestSomebodyRegistersWhatIsArmed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		setUp   func(h *fakeHost)
		current proto.StorePath
		boots   int
	}{
		{"for the next boot, while it waits for that", func(h *fakeHost) {
			h.armed()
			h.registersWhatIsTried()
			h.record.Phase, h.record.Reason = proto.PhaseRollingBack, proto.ReasonThirdParty
		}, oldSystem, 0},
		{"and switches to it", func(h *fakeHost) {
			h.armed()
			h.registersWhatIsTried()
			h.current, h.whole = newSystem, newSystem
			h.record.Phase, h.record.Reason = proto.PhaseRollingBack, proto.ReasonThirdParty
		}, newSystem, 0},
		{"and boots it before anybody has seen that", func(h *fakeHost) {
			h.armed()
			h.registersWhatIsTried()
			h.start()
		}, newSystem, 1},
		{"before the host goes down for it", func(h *fakeHost) {
			h.armed()
			h.registersWhatIsTried()
			h.record.Way, h.record.Parked = deployment.WayReboot, false
		}, oldSystem, 0},
		{"while it is on trial", func(h *fakeHost) {
			h.inTrial(proto.PhaseProbation)
			h.intruder = (*fakeHost).registersWhatIsTried
		}, newSystem, 1},
		{"while it is on trial, and fails that", func(h *fakeHost) {
			h.inTrial(proto.PhaseProbation)
			h.unitsFail, h.intruder = true, (*fakeHost).registersWhatIsTried
		}, newSystem, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newFakeHost(t)
			tt.setUp(h)
			if d := h.settle(); d.Phase != proto.PhaseSuperseded || d.Reason != proto.ReasonThirdParty {
				t.Errorf("ended %s because of %q, want superseded by a third party", d.Phase, d.Reason)
			}
			if h.current != tt.current || h.profile != newSystem || h.bootDefault != newSystem || h.boots != tt.boots || len(h.activated) > 0 {
				t.Errorf("%s runs after %d boots and activations of %s, the profile names %s, and the boot default %s", h.current, h.boots, h.activated, h.profile, h.bootDefault)
			}
			h.requireDisarmed(t)
		})
	}
}

// registersWhatIsTried is what `nixos-rebuild boot` does, with the new system.
func (h *fakeHost) registersWhatIsTried() {
	h.theirs, h.profile, h.bootDefault = true, newSystem, newSystem
}

// requireDisarmed has the next boot be one of the boot default, and nothing held against
// the new system.
func (h *fakeHost) requireDisarmed(t *testing.T) {
	t.Helper()
	if h.guard != "" || !h.oneShot.IsZero() {
		t.Errorf("the next boot runs %q, and once %s", h.guard, h.oneShot)
	}
	if slices.Contains(h.quarantined, newSystem) {
		t.Error("the new system is in quarantine")
	}
}
