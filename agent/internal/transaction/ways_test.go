package transaction_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

// A way is one way through the state machine.
type way struct {
	name   string
	setUp  func(h *fakeHost)
	want   proto.Phase
	reason proto.Reason
	also   func(h *fakeHost) bool // what else must hold at the end
}

// walk goes each way to its end.
func walk(t *testing.T, ways []way) {
	t.Helper()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			h := newFakeHost(t)
			w.setUp(h)
			d := h.settle()
			if d.Phase != w.want || d.Reason != w.reason {
				t.Errorf("ended %s because of %q: %s; want %s because of %q", d.Phase, d.Reason, d.Message, w.want, w.reason)
			}
			if !w.also(h) {
				t.Errorf("not as it should be: current %s, booted %s, profile %s, boot default %s, next %s, boots %d, activated %v, judged %v, proven %+v, quarantined %v, %+v",
					h.current, h.booted, h.profile, h.bootDefault, h.oneShot, h.boots, h.activated, h.judged, h.proven, h.quarantined, h.record)
			}
		})
	}
}

// TestWays goes single ways through the state machine that no crash leads to.
func TestWays(t *testing.T) {
	partial := activation.Result{Effect: activation.Partial, Message: "it crashed"}
	refused := activation.Result{Effect: activation.Untouched, Reason: proto.ReasonCheckRefused}
	walk(t, []way{
		{
			"a profile that somebody moved is seen before anything is begun", func(h *fakeHost) { h.profile = foreign },
			proto.PhaseSuperseded, proto.ReasonThirdParty, func(h *fakeHost) bool { return !h.went(proto.PhaseActivating) },
		},
		{"an adopted system is the boot default before the new one is tried", func(h *fakeHost) {
			h.record.Proven.Adopted, h.bootDefault, h.unitsFail = true, foreign, true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, (*fakeHost).back},
		{"an adopted system that cannot be made the boot default", func(h *fakeHost) {
			h.record.Proven.Adopted = true
			h.defaulted = func(*fakeHost, proto.StorePath) error { return errors.New("/boot is full") }
		}, proto.PhaseFailed, proto.ReasonRegisterFailed, func(h *fakeHost) bool { return len(h.activated) == 0 }},

		{
			"activations that kill the transaction are counted", func(h *fakeHost) { h.dies = map[proto.StorePath]bool{newSystem: true} },
			proto.PhaseInconclusive, proto.ReasonInterrupted, func(h *fakeHost) bool { return h.back() && h.tried(newSystem) == 3 },
		},
		{"a refusal by a system that was begun before is no refusal before it was touched", func(h *fakeHost) {
			h.results = map[proto.StorePath][]activation.Result{newSystem: {partial, refused}}
		}, proto.PhaseRolledBack, proto.ReasonCheckRefused, func(h *fakeHost) bool { return h.tried(oldSystem) == 1 }},
		{"an interrupted activation that ends well at the third try", func(h *fakeHost) {
			h.results = map[proto.StorePath][]activation.Result{newSystem: {partial, partial}}
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.tried(newSystem) == 3 }},
		{"an activation that left no current system", func(h *fakeHost) {
			h.activates = activation.Result{Effect: activation.Partial}
			h.waiting = func(h *fakeHost) { h.current = proto.StorePath{} }
		}, proto.PhaseInconclusive, proto.ReasonInterrupted, (*fakeHost).back},

		{
			"a boot during the activation is a power loss", func(h *fakeHost) { h.at(proto.PhaseActivating, oldSystem, 1) },
			proto.PhaseInconclusive, proto.ReasonPowerLoss, func(h *fakeHost) bool { return h.tried(newSystem) == 0 },
		},
		{
			"a boot during the probation is a power loss", func(h *fakeHost) { h.at(proto.PhaseProbation, oldSystem, 1) },
			proto.PhaseInconclusive, proto.ReasonPowerLoss, func(h *fakeHost) bool { return h.tried(newSystem) == 0 },
		},
		{"a power loss is held against nobody, however the proven system does then", func(h *fakeHost) {
			h.at(proto.PhaseProbation, oldSystem, 1)
			h.provenFails = true
		}, proto.PhaseInconclusive, proto.ReasonPowerLoss, (*fakeHost).back},
		{"a probation whose deadline has passed", func(h *fakeHost) {
			h.at(proto.PhaseProbation, newSystem, 0)
			h.record.Since = time.Unix(0, 0).Add(-2 * time.Minute)
		}, proto.PhaseInconclusive, proto.ReasonInterrupted, (*fakeHost).back},

		{"a third party between two tries of an activation", func(h *fakeHost) {
			h.results = map[proto.StorePath][]activation.Result{newSystem: {partial}}
			h.waiting = func(h *fakeHost) { h.current = foreign }
		}, proto.PhaseSuperseded, proto.ReasonThirdParty, func(h *fakeHost) bool { return h.tried(newSystem) == 1 && h.current == foreign }},
		{
			"a third party during a good probation", func(h *fakeHost) {
				h.intruder = func(h *fakeHost) { h.current, h.contact[foreign] = foreign, true }
			}, proto.PhaseSuperseded, proto.ReasonThirdParty, func(h *fakeHost) bool { return !h.went(proto.PhaseCommitting) },
		},
		{
			"a third party after the decision", func(h *fakeHost) { h.at(proto.PhaseCommitting, foreign, 0) },
			proto.PhaseSuperseded, proto.ReasonThirdParty, func(h *fakeHost) bool { return h.profile == oldSystem && h.bootDefault == oldSystem },
		},
		{"a third party while the boot default is set", func(h *fakeHost) {
			h.defaulted = func(h *fakeHost, _ proto.StorePath) error { h.current = foreign; return nil }
		}, proto.PhaseSuperseded, proto.ReasonThirdParty, func(h *fakeHost) bool { return h.current == foreign && h.tried(newSystem) == 1 }},

		{"a loader that fails after it has changed the boot default", func(h *fakeHost) {
			h.defaulted = refuseAfterwards
		}, proto.PhaseRolledBack, proto.ReasonRegisterFailed, (*fakeHost).back},
		{"a loader that fails when the commit is repeated", func(h *fakeHost) {
			h.proved = func(h *fakeHost) { h.loaderRefuses, h.dead, h.proved = true, true, nil }
		}, proto.PhaseRolledBack, proto.ReasonRegisterFailed, (*fakeHost).back},

		{
			"a proven system that has failed units once it is back", func(h *fakeHost) { h.unitsFail, h.provenFails = true, true },
			proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool { return len(h.quarantined) == 0 },
		},
		{"a proven system that comes back at the third try", func(h *fakeHost) {
			h.unitsFail = true
			h.results = map[proto.StorePath][]activation.Result{oldSystem: {partial, partial}}
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, (*fakeHost).back},
		{"a proven system that cannot be brought back", func(h *fakeHost) {
			h.unitsFail = true
			h.results = map[proto.StorePath][]activation.Result{oldSystem: {partial, partial, partial}}
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool { return h.tried(oldSystem) == 3 }},
		{"a way back of which nobody knows what came of it", func(h *fakeHost) {
			h.unitsFail = true
			h.mute = map[proto.StorePath]bool{oldSystem: true}
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool {
			return h.tried(oldSystem) == 3 && h.told("in 3 tries: current-system cannot be read")
		}},
		{"a way back that kills the transaction every time", func(h *fakeHost) {
			h.unitsFail = true
			h.dies = map[proto.StorePath]bool{oldSystem: true}
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool { return h.tried(oldSystem) == 10 }},
		{"a way back that somebody else's switch bars", func(h *fakeHost) {
			h.unitsFail = true
			h.results = map[proto.StorePath][]activation.Result{oldSystem: busy(310)}
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool { return h.record.RollbackActivations == 3 && h.tried(oldSystem) > 100 }},
		{"what boots next is the proven system, although it cannot be activated", func(h *fakeHost) {
			h.defaulted = refuseAfterwards
			h.results = map[proto.StorePath][]activation.Result{oldSystem: {partial, partial, partial}}
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool {
			return h.current == newSystem && h.profile == oldSystem && h.bootDefault == oldSystem && h.proven.Toplevel == oldSystem
		}},
		{"a boot default that cannot be set back is known not to be known", func(h *fakeHost) {
			h.defaulted = func(*fakeHost, proto.StorePath) error { return errors.New("/boot is read-only") }
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool {
			return h.current == oldSystem && h.profile == oldSystem && h.proven.Toplevel == oldSystem && h.proven.Adopted
		}},
		{
			"a boot partition without room for the new system has room without it", func(h *fakeHost) { h.loaderRefuses = true },
			proto.PhaseRolledBack, proto.ReasonRegisterFailed, func(h *fakeHost) bool { return h.back() && !h.listed() && !h.proven.Adopted },
		},
		{"a probation that was interrupted, with too little time left to judge", func(h *fakeHost) {
			h.at(proto.PhaseProbation, newSystem, 0)
			h.record.Since = time.Unix(0, 0).Add(-h.record.Probation.Deadline + h.record.Probation.Grace/2)
		}, proto.PhaseInconclusive, proto.ReasonInterrupted, func(h *fakeHost) bool { return h.back() && !slices.Contains(h.judged, newSystem) }},
		{"a profile that cannot be pointed back", func(h *fakeHost) {
			h.noProfile, h.unitsFail = true, true
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool {
			return h.tried(oldSystem) == 1 && h.told("was activated, but: point the profile back")
		}},
		{"a proven system that cannot be kept", func(h *fakeHost) {
			h.noProof, h.defaulted = true, refuseAfterwards
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool {
			return h.tried(oldSystem) == 1 && h.told("was activated, but: keep the proven system")
		}},
		{"a toplevel that cannot be quarantined", func(h *fakeHost) {
			h.unitsFail, h.noQuarantine = true, true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool {
			return h.back() && h.tried(oldSystem) == 1 && h.told("quarantine.json is torn") && len(h.record.Failed) == 1
		}},
		{
			"a proven system that cannot be observed at first", func(h *fakeHost) { h.unitsFail, h.blind = true, 2 },
			proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool { return h.tried(oldSystem) == 1 },
		},
		{
			"a proven system that cannot be observed at all", func(h *fakeHost) { h.unitsFail, h.blind = true, 100 },
			proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool { return h.tried(oldSystem) == 1 && h.told("not judged") },
		},
		{"a way back whose judgement kills the transaction every time", func(h *fakeHost) {
			h.unitsFail = true
			h.later = func(h *fakeHost) { h.dead = true }
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool {
			return h.back() && h.tried(oldSystem) == 10 && h.told("all of 10 tries to judge it were interrupted")
		}},
		{"a boot on the way back is as good as an activation", func(h *fakeHost) {
			h.at(proto.PhaseRollingBack, oldSystem, 1)
			h.record.Reason, h.record.RollbackActivations = proto.ReasonUnitsFailed, 1
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool { return h.tried(oldSystem) == 0 }},
		{"a boot on the way back into a system that is not well", func(h *fakeHost) {
			h.at(proto.PhaseRollingBack, oldSystem, 1)
			h.record.Reason, h.provenFails = proto.ReasonUnitsFailed, true
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool { return h.record.BootID == "b" }},

		{
			"a commit after a boot restarts the agent", func(h *fakeHost) { h.at(proto.PhaseCommitting, oldSystem, 1) },
			proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.tried(newSystem) == 1 && h.agent == newSystem },
		},
		{"a commit stands if the agent cannot be restarted", func(h *fakeHost) {
			h.at(proto.PhaseCommitting, oldSystem, 1)
			h.agentFails = true
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.told("restart the agent: its start failed") }},
		{"a commit stands if the activation crashes once", func(h *fakeHost) {
			h.at(proto.PhaseCommitting, oldSystem, 1)
			h.results = map[proto.StorePath][]activation.Result{newSystem: {partial, refused}}
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.tried(newSystem) == 3 }},
		{"a commit whose activation kills the transaction every time", func(h *fakeHost) {
			h.at(proto.PhaseCommitting, oldSystem, 1)
			h.dies = map[proto.StorePath]bool{newSystem: true}
		}, proto.PhaseInconclusive, proto.ReasonPowerLoss, func(h *fakeHost) bool {
			return h.back() && h.tried(newSystem) == 3 && h.tried(oldSystem) == 1
		}},
		{"a commit that is killed after its activation does not repeat it", func(h *fakeHost) {
			h.at(proto.PhaseCommitting, oldSystem, 1)
			kills := 0
			h.proved = func(h *fakeHost) {
				kills++
				h.dead = kills <= 5
			}
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.tried(newSystem) == 1 }},
		{"a commit without a boot activates nothing", func(*fakeHost) {}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.tried(newSystem) == 1 }},

		{"a registered system that leaves no entry for the proven one is dropped on the way back", func(h *fakeHost) {
			h.registered(1, oldSystem, newSystem)
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool { return h.back() && !h.listed() && !h.proven.Adopted }},
		{"a proven system that has no entry because of somebody's newer generations gets one on the way back", func(h *fakeHost) {
			h.registered(2, oldSystem, newSystem, foreign, foreigner)
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool { return h.back() && h.newest() == oldSystem && !h.proven.Adopted }},
		{"an adopted system that has no entry gets one before anything is begun", func(h *fakeHost) {
			h.record.Proven.Adopted, h.bootDefault, h.unitsFail = true, foreign, true
			h.generations, h.limit = []proto.StorePath{oldSystem, foreign}, 1
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, (*fakeHost).back},

		{"a loader that refuses the proven system, too", func(h *fakeHost) {
			h.defaulted = func(*fakeHost, proto.StorePath) error { return errors.New("no space left on /boot") }
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool { return h.current == oldSystem }},
	})
}

// refuseAfterwards is a loader that fails for the new system after it has
// changed the boot default.
func refuseAfterwards(_ *fakeHost, p proto.StorePath) error {
	if p == newSystem {
		return errors.New("sync failed")
	}
	return nil
}

// told reports whether the history's last step says text.
func (h *fakeHost) told(text string) bool {
	return strings.Contains(h.record.History[len(h.record.History)-1].Message, text)
}

// at is the host as a transaction of this boot left it in phase p, after some
// more boots.
func (h *fakeHost) at(p proto.Phase, current proto.StorePath, boots int) {
	h.record.Phase, h.record.BootID, h.record.Activations = p, "a", 1
	h.record.FailedBefore, h.record.RestartingBefore = h.baseline.Failed, h.baseline.Restarting
	h.record.Since, h.held = time.Unix(0, 0), newSystem
	h.current, h.boot = current, boots
}

// registered is the host on the way back from what was registered, with these
// generations, and a loader that has entries of the newest so many.
func (h *fakeHost) registered(limit int, generations ...proto.StorePath) {
	h.at(proto.PhaseRollingBack, newSystem, 0)
	h.record.Reason, h.record.Registered = proto.ReasonUnitsFailed, true
	h.profile, h.bootDefault = newSystem, newSystem
	h.generations, h.limit = generations, limit
}

// back reports whether the proven system is everything that a system can be.
func (h *fakeHost) back() bool {
	return h.current == oldSystem && h.profile == oldSystem && h.bootDefault == oldSystem && h.proven.Toplevel == oldSystem
}

// went reports whether the deployment was ever in phase p.
func (h *fakeHost) went(p proto.Phase) bool {
	for _, s := range h.record.History {
		if s.Phase == p {
			return true
		}
	}
	return false
}

// tried counts the activations of p that were begun.
func (h *fakeHost) tried(p proto.StorePath) (n int) {
	for _, a := range slices.Clone(h.activated) {
		if a == p {
			n++
		}
	}
	return n
}

// TestACommitThatCannotBeKept has the disk refuse what is proven: the decision stands
// for as long as that takes.
func TestACommitThatCannotBeKept(t *testing.T) {
	h := newFakeHost(t)
	h.noCommit = true
	o := transaction.Options{
		Host: h, Store: h, Log: slog.New(slog.DiscardHandler),
		Wait: func(context.Context, time.Duration) error { return nil },
	}
	for range 5 {
		if d, err := transaction.Run(t.Context(), h.record, o); err == nil || d.Phase != proto.PhaseCommitting || h.record.Phase != proto.PhaseCommitting {
			t.Fatalf("it is %s, %v", d.Phase, err)
		}
	}
	h.noCommit = false
	if d, err := transaction.Run(t.Context(), h.record, o); err != nil || d.Phase != proto.PhaseCommitted || h.tried(oldSystem) > 0 {
		t.Errorf("it ended %s, %v", d.Phase, err)
	}
}
