package transaction_test

import (
	"errors"
	"slices"
	"testing"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// lost has the way back of a deployment before h's fail, of a foreign system: that runs,
// and is the boot default.
func (h *fakeHost) lost() {
	h.current, h.whole, h.agent, h.bootDefault = foreign, foreign, foreign, foreign
	h.record.Lost, h.record.From, h.record.Proven.Adopted = true, foreign, true
	h.record.LostIn, h.record.LostTo = "a", []proto.StorePath{foreign}
	h.record.FailedBefore, h.record.RestartingBefore = h.baseline.Failed, h.baseline.Restarting
}

// healed has the host of a deployment that began after a way back that failed be booted into
// the proven system since. What failed there failed with the other one, too.
func (h *fakeHost) healed() {
	h.record.Lost, h.record.LostIn, h.record.LostTo, h.record.Proven.Adopted = true, "a", []proto.StorePath{foreign}, true
	h.record.FailedBefore, h.record.RestartingBefore = h.baseline.Failed, h.baseline.Restarting
	h.baseline.Failed, h.boot = append(h.baseline.Failed, "disk.mount"), 1
}

// TestAnotherSystemAfterAWayBackThatFailed begins where that left the host.
func TestAnotherSystemAfterAWayBackThatFailed(t *testing.T) {
	partial := activation.Result{Effect: activation.Partial, Message: "it crashed"}
	walk(t, []way{
		{"a good one commits", (*fakeHost).lost, proto.PhaseCommitted, "", func(h *fakeHost) bool {
			return h.current == newSystem && h.profile == newSystem && h.bootDefault == newSystem && h.proven.Toplevel == newSystem
		}},
		{"a bad one goes back to the proven one", func(h *fakeHost) {
			h.lost()
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool {
			return h.back() && slices.Contains(h.quarantined, newSystem)
		}},
		{"one that refuses leaves what ran, and the boot default is the proven one", func(h *fakeHost) {
			h.lost()
			h.activates = activation.Result{Effect: activation.Untouched, Reason: proto.ReasonCheckRefused}
		}, proto.PhaseFailed, proto.ReasonCheckRefused, func(h *fakeHost) bool {
			return h.current == foreign && h.profile == oldSystem && h.bootDefault == oldSystem
		}},
		{"a second way back that fails leaves a boot that leads to the proven one", func(h *fakeHost) {
			h.lost()
			h.unitsFail = true
			h.results = map[proto.StorePath][]activation.Result{oldSystem: {partial, partial, partial}}
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool {
			return h.current == newSystem && h.profile == oldSystem && h.bootDefault == oldSystem && h.proven.Toplevel == oldSystem
		}},
		{"a proven one that is less well than before that is no good way back", func(h *fakeHost) {
			h.lost()
			h.unitsFail, h.provenFails = true, true
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, (*fakeHost).back},

		{"what failed in a boot into the proven one since is no fault of the next", (*fakeHost).healed, proto.PhaseCommitted, "", func(h *fakeHost) bool {
			return h.proven.Toplevel == newSystem && !h.record.Lost
		}},
		{"nor of the proven one", func(h *fakeHost) {
			h.healed()
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, (*fakeHost).back},
		{"nor of one that waited for its boot meanwhile", func(h *fakeHost) {
			h.healed()
			h.record.Phase, h.record.Way, h.record.BootID = proto.PhaseStaged, deployment.WayReboot, "a"
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.proven.Toplevel == newSystem && !h.record.Lost }},
		{"what failed in a boot that led to what was left counts", func(h *fakeHost) {
			h.lost()
			h.booted, h.boot = foreign, 1
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.proven.Toplevel == newSystem && h.record.Lost }},
		{"and so does what failed in the proven one, run again in such a boot", func(h *fakeHost) {
			h.lost()
			h.booted, h.boot = foreign, 1
			h.current, h.whole, h.agent = oldSystem, oldSystem, oldSystem
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.proven.Toplevel == newSystem && h.record.Lost }},
		{"and what failed where what was proven is to be brought back", func(h *fakeHost) {
			h.drift()
			h.record.Lost, h.record.LostIn, h.boot = true, "a", 1
			h.record.FailedBefore, h.record.RestartingBefore = h.baseline.Failed, h.baseline.Restarting
		}, proto.PhaseRolledBack, proto.ReasonDriftRestored, (*fakeHost).back},

		{"what was left is not booted, either, where it was to be booted once", func(h *fakeHost) {
			h.lost()
			h.oneShot = foreign
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.oneShot.IsZero() }},
		{"nor where what was proven is brought back", func(h *fakeHost) {
			h.drift()
			h.record.LostTo, h.oneShot = []proto.StorePath{newSystem}, newSystem
		}, proto.PhaseRolledBack, proto.ReasonDriftRestored, func(h *fakeHost) bool { return h.back() && h.oneShot.IsZero() }},
		{"what was left is forgotten once another one is good", (*fakeHost).lost, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.record.LostTo == nil }},
		{"also if that is only tried", func(h *fakeHost) {
			h.lost()
			h.record.Way = deployment.WayTest
		}, proto.PhaseTried, "", func(h *fakeHost) bool { return h.record.LostTo == nil }},
		{"or gone back from", func(h *fakeHost) {
			h.lost()
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool { return h.record.LostTo == nil }},
		{"but not if that refuses", func(h *fakeHost) {
			h.lost()
			h.activates = activation.Result{Effect: activation.Untouched, Reason: proto.ReasonCheckRefused}
		}, proto.PhaseFailed, proto.ReasonCheckRefused, func(h *fakeHost) bool { return slices.Equal(h.record.LostTo, []proto.StorePath{foreign}) }},
		{"nor where the boot loader does", func(h *fakeHost) {
			h.lost()
			h.defaulted = func(*fakeHost, proto.StorePath) error { return errors.New("/boot is read-only") }
		}, proto.PhaseFailed, proto.ReasonRegisterFailed, func(h *fakeHost) bool { return slices.Equal(h.record.LostTo, []proto.StorePath{foreign}) }},
		{"nor where it was only asked what it would change", func(h *fakeHost) {
			h.lost()
			h.record.Way = deployment.WayDry
		}, proto.PhaseTried, "", func(h *fakeHost) bool { return slices.Equal(h.record.LostTo, []proto.StorePath{foreign}) }},
		{"it is forgotten, too, once what was proven is back", func(h *fakeHost) {
			h.drift()
			h.record.LostTo = []proto.StorePath{newSystem}
		}, proto.PhaseRolledBack, proto.ReasonDriftRestored, func(h *fakeHost) bool { return h.back() && h.record.LostTo == nil }},
		{"but not if only a specialisation of that is", func(h *fakeHost) {
			h.lost()
			h.current, h.whole, h.agent = oldSystem, oldSystem, oldSystem
			h.record.Restore, h.record.Toplevel, h.record.From = true, oldSystem, proto.StorePath{}
			h.record.Origin, h.record.Reason = deployment.OriginDrift, proto.ReasonSpecialised
		}, proto.PhaseRolledBack, proto.ReasonSpecialised, func(h *fakeHost) bool {
			return h.bootDefault == foreign && slices.Equal(h.record.LostTo, []proto.StorePath{foreign})
		}},
		{"nor while the boot loader refuses it", func(h *fakeHost) {
			h.drift()
			h.record.LostTo = []proto.StorePath{newSystem}
			h.defaulted = func(*fakeHost, proto.StorePath) error { return errors.New("/boot is read-only") }
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool { return slices.Equal(h.record.LostTo, []proto.StorePath{newSystem}) }},
	})
}

// TestACrashAfterAWayBackThatFailed ends the process, or the power, at every call of a
// deployment that begins there.
func TestACrashAfterAWayBackThatFailed(t *testing.T) {
	for _, s := range []scenario{
		{"a good system", (*fakeHost).lost, proto.PhaseCommitted, "", false},
		{"a bad one", func(h *fakeHost) {
			h.lost()
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, true},
	} {
		for _, c := range []crash{{}, {applied: true}, {power: true}, {power: true, applied: true}} {
			t.Run(s.name, func(t *testing.T) { crashTwice(t, s, c, c) })
		}
	}
}
