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

// TestSomebodyTriesWhatIsArmed has somebody else run the very system that waits for its
// trial boot, and register nothing. That is left to them; but for a boot in the middle,
// which leads to the proven system in the end.
func TestSomebodyTriesWhatIsArmed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		setUp  func(h *fakeHost)
		reason proto.Reason // of the way back
		booted proto.Phase  // the end, if the host was booted meanwhile
	}{
		{"while it waits", func(*fakeHost) {}, proto.ReasonThirdParty, proto.PhaseSuperseded},
		{"in its specialisation", func(h *fakeHost) {
			h.record.Specialisation = docked(newSpecial)
			h.current, h.whole, h.oneShot = newSpecial, newSpecial, newSpecial
		}, proto.ReasonThirdParty, proto.PhaseSuperseded},
		{"and it is not wanted any more", func(*fakeHost) {}, proto.ReasonNewerAssignment, proto.PhaseSuperseded},
		{"while the host does not go down for it", func(h *fakeHost) {
			h.record.Way, h.record.TrialBoots, h.record.Parked = deployment.WayReboot, 3, false
		}, proto.ReasonRebootFailed, proto.PhaseInconclusive},
		{"where it had to be the boot default", func(h *fakeHost) {
			h.unable, h.oneShot, h.record.Registered = true, proto.StorePath{}, true
			h.profile, h.bootDefault = newSystem, newSystem
		}, proto.ReasonThirdParty, proto.PhaseSuperseded},
	} {
		setUp := func(t *testing.T) *fakeHost {
			h := newFakeHost(t)
			h.armed()
			h.record.Phase, h.record.Reason = proto.PhaseRollingBack, tt.reason
			h.current, h.whole, h.agent = newSystem, newSystem, newSystem
			tt.setUp(h)
			return h
		}
		t.Run(tt.name, func(t *testing.T) {
			h := setUp(t)
			h.requireLeft(t, h.settle())
			for n := range h.calls {
				for _, c := range []crash{{}, {applied: true}, {power: true}, {power: true, applied: true}} {
					h := setUp(t)
					h.crashAt[n+1] = c
					d := h.settle()
					if !c.power {
						h.requireLeft(t, d)
						continue
					}
					h.requireDisarmed(t)
					left := d.Phase == proto.PhaseSuperseded && d.Reason == proto.ReasonThirdParty // before the boot
					if !left && d.Phase != tt.booted || !h.back() {
						t.Errorf("call %d: power lost: ended %s because of %q on %s, want %s", n+1, d.Phase, d.Reason, h.current, tt.booted)
					}
				}
			}
		})
	}
	for _, tt := range []struct {
		name  string
		setUp func(h *fakeHost)
		want  proto.Phase
	}{
		{"not what is on trial", func(h *fakeHost) { h.inTrial(proto.PhaseRollingBack) }, proto.PhaseRolledBack},
		{"nor a trial boot that is not known as one yet", func(h *fakeHost) {
			h.start()
			h.record.Phase = proto.PhaseRollingBack
		}, proto.PhaseRolledBack},
		{"nor one that cannot be left by another boot", func(h *fakeHost) {
			h.start()
			h.record.Phase, h.stays = proto.PhaseRollingBack, 100
		}, proto.PhaseRolledBack},
		{"nor what an activation left that died on the way back", func(h *fakeHost) {
			h.record.Phase, h.record.RollbackActivations = proto.PhaseRollingBack, 1
			h.current = newSystem
		}, proto.PhaseRolledBack},
		{"nor where the next boot may be one of it", func(h *fakeHost) {
			h.record.Phase, h.record.Registered, h.noProfile = proto.PhaseRollingBack, true, true
			h.current, h.profile = newSystem, newSystem
		}, proto.PhaseRollbackFailed},
		{"nor what somebody takes back", func(h *fakeHost) {
			h.takenBack()
			h.current = newSystem
		}, proto.PhaseRolledBack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newFakeHost(t)
			h.armed()
			h.record.Reason = proto.ReasonUnitsFailed
			tt.setUp(h)
			if d := h.settle(); d.Phase != tt.want || h.current != oldSystem {
				t.Errorf("ended %s because of %q on %s, want %s on the proven system", d.Phase, d.Reason, h.current, tt.want)
			}
		})
	}
}

// requireLeft has d end with what somebody else tries running, and nothing of it to be
// booted.
func (h *fakeHost) requireLeft(t *testing.T, d deployment.Deployment) {
	t.Helper()
	if d.Phase != proto.PhaseSuperseded || d.Reason != proto.ReasonThirdParty {
		t.Errorf("ended %s because of %q, want superseded by a third party", d.Phase, d.Reason)
	}
	if !isNew(h.current) || h.whole != h.current || h.profile != oldSystem || h.bootDefault != oldSystem || len(h.activated) > 0 || h.boots > 0 {
		t.Errorf("%s runs after %d boots and activations of %s, the profile names %s, and the boot default %s", h.current, h.boots, h.activated, h.profile, h.bootDefault)
	}
	h.requireDisarmed(t)
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
