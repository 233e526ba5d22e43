package transaction_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

// unsaved has the disk become read-only while the new system runs, in phase p.
func (h *fakeHost) unsaved(p proto.Phase) {
	h.at(p, newSystem, 0)
	h.record.Activated, h.whole, h.agent = newSystem, newSystem, newSystem
	h.noRecord = true
}

// TestAstray says for which records the proven system is brought back without them.
func TestAstray(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setUp func(h *fakeHost)
		want  bool
	}{
		{"an activation whose end cannot be saved", func(h *fakeHost) { h.record.Activated = proto.StorePath{} }, true},
		{"one that was interrupted before it moved what runs", func(h *fakeHost) {
			h.current, h.record.Activated = oldSystem, proto.StorePath{}
		}, true},
		{"a probation that cannot be decided", func(h *fakeHost) { h.record.Phase = proto.PhaseProbation }, true},
		{"a way back that cannot begin", func(h *fakeHost) { h.record.Phase = proto.PhaseRollingBack }, true},
		{"a way back that only cannot end", func(h *fakeHost) {
			h.record.Phase, h.record.Activated, h.record.RollbackActivations, h.current = proto.PhaseRollingBack, oldSystem, 1, oldSystem
		}, false},
		{"a way back from what was never activated", func(h *fakeHost) {
			h.record.Phase, h.record.Activated, h.record.Activations, h.current = proto.PhaseRollingBack, proto.StorePath{}, 0, oldSystem
		}, false},
		{"a way back to what does not run any more", func(h *fakeHost) {
			h.record.Phase, h.record.Activated, h.record.Activations = proto.PhaseRollingBack, proto.StorePath{}, 0
		}, true},
		{"a boot since", func(h *fakeHost) { h.current, h.boot = oldSystem, 1 }, false},
		{"a boot since that led to the base of it", func(h *fakeHost) {
			h.current, h.boot, h.record.Back = oldSystem, 1, docked(oldSpecial)
		}, false},
		{"a decision to commit", func(h *fakeHost) { h.record.Phase = proto.PhaseCommitting }, false},
		{"what is registered", func(h *fakeHost) { h.record.Phase, h.record.Registered = proto.PhaseRollingBack, true }, false},
		{"a trial boot", func(h *fakeHost) { h.record.Phase, h.record.Trial, h.booted = proto.PhaseProbation, true, newSystem }, false},
		{"what somebody else tries", func(h *fakeHost) {
			h.armed()
			h.record.Phase, h.record.Reason, h.current, h.whole = proto.PhaseRollingBack, proto.ReasonThirdParty, newSystem, newSystem
		}, false},
		{"what is staged", func(h *fakeHost) { h.record.Phase = proto.PhaseStaging }, false},
	} {
		h := newFakeHost(t)
		h.unsaved(proto.PhaseActivating)
		tt.setUp(h)
		if got, err := transaction.Astray(h.record, h.options()); got != tt.want || err != nil {
			t.Errorf("%s: %t, %v, want %t", tt.name, got, err, tt.want)
		}
	}
	h := newFakeHost(t)
	h.unsaved(proto.PhaseActivating)
	h.current = foreign
	if got, err := transaction.Astray(h.record, h.options()); got || err == nil {
		t.Errorf("somebody else's system: %t, %v, want an error", got, err)
	}
}

// TestBringBack has the disk be read-only for a while, in each phase in which nothing is
// registered.
func TestBringBack(t *testing.T) {
	for _, phase := range []proto.Phase{proto.PhaseActivating, proto.PhaseProbation, proto.PhaseRollingBack} {
		t.Run(string(phase), func(t *testing.T) {
			h := newFakeHost(t)
			h.unsaved(phase)
			h.record.Reason = proto.ReasonInterrupted // of a way back, why
			_, err := transaction.Run(t.Context(), h.record, h.options())
			if _, unsaved := errors.AsType[*transaction.SaveError](err); !unsaved {
				t.Fatalf("Run = %v, want a SaveError", err)
			}
			before := h.record
			if err := transaction.BringBack(t.Context(), h.record, h.options()); err != nil {
				t.Fatal(err)
			}
			if !h.back() || h.whole != oldSystem || h.agent != oldSystem || h.record.RollbackActivations != before.RollbackActivations {
				t.Errorf("current %s, agent %s, and the record is %+v", h.current, h.agent, h.record)
			}
			h.noRecord = false
			tried := h.tried(newSystem)
			o := h.options()
			o.Undone = "the record could not be saved"
			d, err := transaction.Run(t.Context(), h.record, o)
			if err != nil || d.Phase != proto.PhaseInconclusive || d.Reason != proto.ReasonInterrupted || h.tried(newSystem) != tried || !h.back() {
				t.Errorf("then it ended %s because of %q: %s, %v; activated %v", d.Phase, d.Reason, d.Message, err, h.activated)
			}
			if phase != proto.PhaseRollingBack && d.Message != o.Undone {
				t.Errorf("then it says %q", d.Message)
			}
		})
	}
	t.Run("the second time that system is at fault", func(t *testing.T) {
		h := newFakeHost(t)
		h.unsaved(proto.PhaseActivating)
		h.record.Interrupted, h.noRecord, h.current = 1, false, oldSystem
		o := h.options()
		o.Undone = "the record could not be saved"
		if d, err := transaction.Run(t.Context(), h.record, o); err != nil || d.Phase != proto.PhaseRolledBack || len(h.quarantined) != 1 {
			t.Errorf("it ended %s, %v", d.Phase, err)
		}
	})
	t.Run("not over what somebody else did meanwhile", func(t *testing.T) {
		h := newFakeHost(t)
		h.unsaved(proto.PhaseActivating)
		h.current = foreign
		if err := transaction.BringBack(t.Context(), h.record, h.options()); err == nil || len(h.activated) > 0 {
			t.Errorf("BringBack = %v, activated %v", err, h.activated)
		}
	})
	t.Run("once somebody else's switch has ended", func(t *testing.T) {
		h := newFakeHost(t)
		h.unsaved(proto.PhaseActivating)
		busy := activation.Result{Effect: activation.Busy}
		h.results = map[proto.StorePath][]activation.Result{oldSystem: {busy, busy, busy, busy}}
		if err := transaction.BringBack(t.Context(), h.record, h.options()); err != nil || !h.back() {
			t.Errorf("BringBack = %v, current %s", err, h.current)
		}
	})
}

// TestBringBackThatFails is tried a few times, and boots the host only as a last resort.
func TestBringBackThatFails(t *testing.T) {
	partial := activation.Result{Effect: activation.Partial, Message: "it crashed"}
	for _, last := range []bool{false, true} {
		h := newFakeHost(t)
		h.unsaved(proto.PhaseActivating)
		h.record.Boots.LastResort = last
		h.results = map[proto.StorePath][]activation.Result{oldSystem: {partial, partial, partial}}
		err := transaction.BringBack(t.Context(), h.record, h.options())
		if err == nil || !strings.Contains(err.Error(), "it crashed") || h.tried(oldSystem) != 3 {
			t.Errorf("last resort %t: BringBack = %v, activated %v", last, err, h.activated)
		}
		if (h.boots > 0) != last {
			t.Errorf("last resort %t: booted %d times", last, h.boots)
		}
		if !last {
			continue
		}
		h.dead = false
		if astray, err := transaction.Astray(h.record, h.options()); astray || err != nil || !h.back() {
			t.Errorf("after the boot: %t, %v", astray, err)
		}
		h.noRecord, h.clock = false, time.Minute
		if d := h.settle(); d.Phase != proto.PhaseInconclusive || d.Reason != proto.ReasonPowerLoss || h.tried(newSystem) > 0 {
			t.Errorf("after the boot it ended %s because of %q", d.Phase, d.Reason)
		}
	}
}
