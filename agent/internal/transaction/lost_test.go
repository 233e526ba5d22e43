package transaction_test

import (
	"slices"
	"testing"

	"kedge/agent/internal/activation"
	"kedge/proto"
)

// lost has the way back of a deployment before h's fail, of a foreign system: that runs,
// and is the boot default.
func (h *fakeHost) lost() {
	h.current, h.whole, h.agent, h.bootDefault = foreign, foreign, foreign, foreign
	h.record.Lost, h.record.From, h.record.Proven.Adopted = true, foreign, true
	h.record.FailedBefore, h.record.RestartingBefore = h.baseline.Failed, h.baseline.Restarting
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
