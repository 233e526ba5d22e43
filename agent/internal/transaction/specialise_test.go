package transaction_test

import (
	"testing"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// A specialisation of each system.
var (
	oldSpecial = mustPath("/nix/store/33333333333333333333333333333333-nixos-system-old")
	newSpecial = mustPath("/nix/store/44444444444444444444444444444444-nixos-system-new")
)

func docked(p proto.StorePath) deployment.Specialisation {
	return deployment.Specialisation{Name: "docked", System: p}
}

// specialised is a host that runs in a specialisation, and shall do so in the new
// system, too.
func specialised(h *fakeHost) {
	h.current, h.whole, h.agent = oldSpecial, oldSpecial, oldSpecial
	h.record.Specialisation, h.record.Back = docked(newSpecial), docked(oldSpecial)
	h.record.Proven.Specialisation, h.proven.Specialisation = docked(oldSpecial), docked(oldSpecial)
}

// respecialised is a host whose proven system was never judged in the
// specialisation that it shall run in.
func respecialised(h *fakeHost) {
	h.record.Toplevel, h.record.Specialisation = oldSystem, docked(oldSpecial)
}

// unspecialised is a host that was booted, and so has left its specialisation.
func unspecialised(h *fakeHost) {
	specialised(h)
	h.current, h.whole, h.agent = oldSystem, oldSystem, oldSystem
	h.record.Origin, h.record.Reason, h.record.Serial = deployment.OriginDrift, proto.ReasonSpecialised, 0
	h.record.Toplevel, h.record.Specialisation, h.record.Restore = oldSystem, deployment.Specialisation{}, true
}

// suspect is what must not be tried again if it is bad.
func (h *fakeHost) suspect() proto.StorePath {
	if h.record.Respecialises() {
		return h.record.System()
	}
	return newSystem
}

// isNew reports whether p is the new system, or of it.
func isNew(p proto.StorePath) bool { return p == newSystem || p == newSpecial }

// tries reports whether p is what the deployment tries.
func (h *fakeHost) tries(p proto.StorePath) bool {
	return isNew(p) || h.record.Respecialises() && !h.record.Restore && p == h.record.System()
}

// isOld reports whether p is the proven system, or of it, and not what is tried.
func (h *fakeHost) isOld(p proto.StorePath) bool {
	return !h.tries(p) && (p == oldSystem || p == oldSpecial)
}

// requireRunning checks that the specialisation of base runs, all of it; or base, if
// the power was lost after the end.
func (h *fakeHost) requireRunning(t *testing.T, base, special proto.StorePath) {
	t.Helper()
	if boot, _ := h.BootID(); h.record.Phase.Terminal() && boot != h.record.BootID {
		special = base
	}
	for what, got := range map[string]proto.StorePath{"current": h.current, "units": h.whole} {
		if got != special {
			t.Errorf("%s is %s, want %s", what, got, special)
		}
	}
}

// specialScenarios are those of specialisations.
func specialScenarios() []scenario {
	return []scenario{
		{"a good specialisation commits", specialised, proto.PhaseCommitted, "", false},
		{"failed units of a specialisation go back to the one before", func(h *fakeHost) {
			specialised(h)
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, true},
		{"a system without the specialisation that ran commits", func(h *fakeHost) {
			specialised(h)
			h.record.Specialisation = deployment.Specialisation{}
		}, proto.PhaseCommitted, "", false},
		{"a good trial boot of a specialisation commits", func(h *fakeHost) {
			specialised(h)
			reboots(h)
		}, proto.PhaseCommitted, "", false},
		{"also where the loader has no entry of it", func(h *fakeHost) {
			specialised(h)
			reboots(h)
			h.noSpecial = true
		}, proto.PhaseCommitted, "", false},
		{"and where the loader boots nothing once", func(h *fakeHost) {
			specialised(h)
			reboots(h)
			h.unable = true
		}, proto.PhaseCommitted, "", false},
		{"failed units in a trial boot of a specialisation go back to the one before", func(h *fakeHost) {
			specialised(h)
			reboots(h)
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, true},
		{"a trial boot of a specialisation that panics is inconclusive at first", func(h *fakeHost) {
			specialised(h)
			reboots(h)
			h.panics = true
		}, proto.PhaseInconclusive, proto.ReasonTrialBootFailed, false},
		{"another specialisation of the proven system commits", respecialised, proto.PhaseCommitted, "", false},
		{"and is gone back from", func(h *fakeHost) {
			respecialised(h)
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, true},
		{"the specialisation that a boot has left is brought back", unspecialised, proto.PhaseRolledBack, proto.ReasonSpecialised, false},
	}
}

// TestSpecialisations goes single ways that lead through specialisations.
func TestSpecialisations(t *testing.T) {
	partial := activation.Result{Effect: activation.Partial, Message: "it crashed"}
	walk(t, []way{
		{"what is activated, judged and proven is the specialisation", specialised, proto.PhaseCommitted, "", func(h *fakeHost) bool {
			return h.tried(newSpecial) == 1 && len(h.activated) == 1 && h.judgedAll(newSpecial) && h.proven.Specialisation == docked(newSpecial)
		}},
		{"the way back leads to what ran, and not to its base", func(h *fakeHost) {
			specialised(h)
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool {
			return h.tried(oldSpecial) == 1 && len(h.activated) == 2 && h.current == oldSpecial && h.profile == oldSystem
		}},
		{"somebody who chose another one gets that back, and it is not what is proven", func(h *fakeHost) {
			specialised(h)
			h.record.Proven.Specialisation, h.proven.Specialisation = deployment.Specialisation{}, deployment.Specialisation{}
			h.loaderRefuses = true
		}, proto.PhaseRolledBack, proto.ReasonRegisterFailed, func(h *fakeHost) bool {
			return h.current == oldSpecial && h.proven.System() == oldSystem
		}},
		{"a boot before the activation is nobody's deed", func(h *fakeHost) {
			specialised(h)
			h.current, h.whole, h.agent = oldSystem, oldSystem, oldSystem
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.current == newSpecial }},
		{"the entry of the specialisation is what is booted", func(h *fakeHost) {
			specialised(h)
			reboots(h)
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool {
			return h.booted == newSpecial && h.boots == 1 && len(h.activated) == 0 && h.judgedAll(newSpecial)
		}},
		{"without one the base is booted, and left before it is judged", func(h *fakeHost) {
			specialised(h)
			reboots(h)
			h.noSpecial = true
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool {
			return h.booted == newSystem && h.boots == 1 && h.tried(newSpecial) == 1 && len(h.activated) == 1 && h.judgedAll(newSpecial)
		}},
		{"a specialisation that cannot be had in its trial boot goes back", func(h *fakeHost) {
			specialised(h)
			reboots(h)
			h.noSpecial = true
			h.activates = activation.Result{Effect: activation.Broken, Reason: proto.ReasonActivationFailed}
		}, proto.PhaseRolledBack, proto.ReasonActivationFailed, func(h *fakeHost) bool {
			return h.boots == 2 && h.booted == oldSystem && h.current == oldSpecial && h.judgedAll(oldSpecial)
		}},
		{"nor is it tried for ever", func(h *fakeHost) {
			specialised(h)
			reboots(h)
			h.noSpecial = true
			h.activates = partial
		}, proto.PhaseInconclusive, proto.ReasonInterrupted, func(h *fakeHost) bool { return h.tried(newSpecial) == 3 && h.current == oldSpecial }},
		{"a commit after another boot goes on from the base, which is the default by now", func(h *fakeHost) {
			specialised(h)
			reboots(h)
			h.defaulted = func(h *fakeHost, p proto.StorePath) error {
				if p == newSystem {
					h.defaulted = nil
					h.start()
				}
				return nil
			}
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool {
			return h.boots == 2 && h.current == newSpecial && h.record.CommitBoots == 0 && h.record.CommitActivations == 1
		}},
		{"the way back by a boot goes on to the specialisation", func(h *fakeHost) {
			specialised(h)
			reboots(h)
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool {
			return h.boots == 2 && h.booted == oldSystem && h.tried(oldSpecial) == 1 && h.record.RollbackBoots == 1
		}},
		{"one that never ends its switch in a trial boot", func(h *fakeHost) {
			specialised(h)
			h.inTrial(proto.PhaseProbation)
			h.current, h.slow, h.record.Activations = newSystem, map[proto.StorePath]bool{newSpecial: true}, 0
			h.record.Probation = deployment.Probation{Grace: time.Millisecond, Deadline: 50 * time.Millisecond}
			h.record.Boots.Timeout = time.Millisecond
		}, proto.PhaseRolledBack, proto.ReasonActivationHung, func(h *fakeHost) bool { return h.booted == oldSystem && h.current == oldSpecial }},
		{"a trial boot that led back to the base of what ran", func(h *fakeHost) {
			specialised(h)
			h.armed()
			h.oneShot = proto.StorePath{}
			h.start()
		}, proto.PhaseInconclusive, proto.ReasonTrialBootFailed, func(h *fakeHost) bool { return h.tried(oldSpecial) == 1 && h.current == oldSpecial }},
		{"a boot into the new base in the middle of a commit", func(h *fakeHost) {
			specialised(h)
			h.inTrial(proto.PhaseCommitting)
			h.record.Registered, h.bootDefault, h.profile = true, newSystem, newSystem
			h.start()
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.tried(newSpecial) == 1 && h.current == newSpecial }},
		{"what is asked what it would change is the specialisation", func(h *fakeHost) {
			specialised(h)
			h.record.Way = deployment.WayDry
		}, proto.PhaseTried, "", func(h *fakeHost) bool { return h.current == oldSpecial }},
		{"another one of the proven system leaves what was proven before it", func(h *fakeHost) {
			respecialised(h)
			h.record.Proven.Previous = deployment.Previous{Toplevel: foreign}
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool {
			return h.proven.Previous.Toplevel == foreign && h.proven.Specialisation == docked(oldSpecial)
		}},
		{"what a boot has left is brought back without a word to the loader", func(h *fakeHost) {
			unspecialised(h)
			h.defaulted = refused
		}, proto.PhaseRolledBack, proto.ReasonSpecialised, func(h *fakeHost) bool {
			return h.tried(oldSpecial) == 1 && h.current == oldSpecial && len(h.quarantined) == 0
		}},
		{"once the host is up", unspecialised, proto.PhaseRolledBack, proto.ReasonSpecialised, func(h *fakeHost) bool { return h.ups == 1 }},
		{"also without contact", func(h *fakeHost) {
			unspecialised(h)
			clear(h.contact)
		}, proto.PhaseInconclusive, proto.ReasonSpecialised, func(h *fakeHost) bool { return h.current == oldSpecial }},
		{"what somebody brings back by hand is no reason to keep away from the proven system", func(h *fakeHost) {
			unspecialised(h)
			h.record.Origin, h.record.Reason = deployment.OriginHand, proto.ReasonRolledBackByHand
		}, proto.PhaseRolledBack, proto.ReasonRolledBackByHand, func(h *fakeHost) bool { return h.current == oldSpecial && len(h.quarantined) == 0 }},
		{"somebody else's specialisation meanwhile is somebody else's", func(h *fakeHost) {
			specialised(h)
			h.intruder = func(h *fakeHost) { h.current = newSystem }
		}, proto.PhaseSuperseded, proto.ReasonThirdParty, func(h *fakeHost) bool { return h.current == newSystem && h.profile == oldSystem }},
	})
}

// refused is a loader that must not be asked.
func refused(h *fakeHost, p proto.StorePath) error {
	h.t.Errorf("the boot default is set to %s", p)
	return nil
}

// judgedAll reports whether p was judged, and nothing else.
func (h *fakeHost) judgedAll(p proto.StorePath) bool {
	for _, j := range h.judged {
		if j != p {
			return false
		}
	}
	return len(h.judged) > 0
}
