package transaction_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// byHand makes h's deployment one that somebody on the host wants.
func (h *fakeHost) byHand() {
	h.record.Origin, h.record.Reason = deployment.OriginHand, proto.ReasonRolledBackByHand
	h.record.Serial = 0
}

// drift has the new system run, registered, though the old one was proven, and
// h's deployment bring that back.
func (h *fakeHost) drift() {
	h.current, h.whole, h.agent, h.profile, h.bootDefault = newSystem, newSystem, newSystem, newSystem, newSystem
	h.record.Origin, h.record.Reason, h.record.Serial = deployment.OriginDrift, proto.ReasonDriftRestored, 0
	h.record.Restore, h.record.Registered = true, true
}

func TestByHand(t *testing.T) {
	for _, tt := range []struct {
		name        string
		setUp       func(h *fakeHost)
		want        proto.Phase
		reason      proto.Reason
		quarantined []proto.StorePath
		also        func(h *fakeHost) bool // what else must hold at the end
	}{
		{
			"what is left by hand is not tried again, nor gone back to", (*fakeHost).byHand, proto.PhaseCommitted, proto.ReasonRolledBackByHand,
			[]proto.StorePath{oldSystem},
			func(h *fakeHost) bool { return h.proven.Previous == deployment.Previous{} },
		},
		{"that it cannot be quarantined is told", func(h *fakeHost) {
			h.byHand()
			h.noQuarantine = true
		}, proto.PhaseCommitted, proto.ReasonRolledBackByHand, nil, func(h *fakeHost) bool { return h.told("cannot be quarantined") }},
		{"a system that is deployed can be gone back from", func(h *fakeHost) {
			h.record.Proven.Previous = deployment.Previous{Toplevel: foreign}
		}, proto.PhaseCommitted, "", nil, func(h *fakeHost) bool {
			return h.proven.Previous == deployment.Previous{Toplevel: oldSystem, Generation: 1}
		}},
		{"a way back keeps what was proven before", func(h *fakeHost) {
			h.record.Proven.Previous = deployment.Previous{Toplevel: foreign}
			h.at(proto.PhaseRollingBack, newSystem, 0)
			h.record.Registered, h.record.Reason = true, proto.ReasonRegisterFailed
		}, proto.PhaseRolledBack, proto.ReasonRegisterFailed, nil, func(h *fakeHost) bool { return h.proven.Previous.Toplevel == foreign }},
		{"who wants it back says why", func(h *fakeHost) { h.recall = "by ada: it is slow" }, proto.PhaseRolledBack, proto.ReasonRolledBackByHand, []proto.StorePath{newSystem}, func(h *fakeHost) bool {
			return h.back() && h.told("by ada: it is slow")
		}},
		{"and need not prove anything against it", func(h *fakeHost) {
			h.recall = "by ada"
			clear(h.contact)
		}, proto.PhaseInconclusive, proto.ReasonRolledBackByHand, []proto.StorePath{newSystem}, (*fakeHost).back},
		{"but comes too late once it is decided", func(h *fakeHost) {
			h.recall = "by ada"
			h.at(proto.PhaseCommitting, newSystem, 0)
		}, proto.PhaseCommitted, "", nil, func(h *fakeHost) bool { return h.current == newSystem }},
		{"what was proven is brought back without contact, too", func(h *fakeHost) {
			h.drift()
			clear(h.contact)
		}, proto.PhaseInconclusive, proto.ReasonDriftRestored, nil, (*fakeHost).back},
		{"what was proven and is not well any more", func(h *fakeHost) {
			h.drift()
			h.provenFails = true
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, nil, (*fakeHost).back},
		{"what was proven is not brought back over a third system", func(h *fakeHost) {
			h.drift()
			h.current = foreign
		}, proto.PhaseSuperseded, proto.ReasonThirdParty, nil, func(h *fakeHost) bool { return len(h.activated) == 0 && h.profile == newSystem }},
		{"what was proven waits for somebody else's switch", func(h *fakeHost) {
			h.drift()
			h.results = map[proto.StorePath][]activation.Result{oldSystem: busy(100)}
		}, proto.PhaseRolledBack, proto.ReasonDriftRestored, nil, (*fakeHost).back},
		{"what somebody brings back is kept away", func(h *fakeHost) {
			h.drift()
			h.record.Origin, h.record.Reason = deployment.OriginHand, proto.ReasonRolledBackByHand
		}, proto.PhaseRolledBack, proto.ReasonRolledBackByHand, []proto.StorePath{newSystem}, (*fakeHost).back},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newFakeHost(t)
			tt.setUp(h)
			d := h.settle()
			if d.Phase != tt.want || d.Reason != tt.reason {
				t.Errorf("ended %s because of %q: %s; want %s because of %q", d.Phase, d.Reason, d.Message, tt.want, tt.reason)
			}
			if diff := cmp.Diff(tt.quarantined, h.quarantined, cmp.AllowUnexported(proto.StorePath{})); diff != "" {
				t.Errorf("quarantined (-want +got):\n%s", diff)
			}
			if !tt.also(h) {
				t.Errorf("not as it should be: current %s, profile %s, boot default %s, proven %+v, activated %v: %s",
					h.current, h.profile, h.bootDefault, h.proven, h.activated, strings.Join(h.steps(), ", "))
			}
		})
	}
}

// steps is what happened.
func (h *fakeHost) steps() (all []string) {
	for _, s := range h.record.History {
		all = append(all, string(s.Phase)+" "+s.Message)
	}
	return all
}
