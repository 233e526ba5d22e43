package transaction_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

// What a host was off for waits for it when it is on again.
func TestNothingBeginsAmidABoot(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ends   time.Duration
		coming bool
		waits  int           // how often it waits
		begins time.Duration // how long the host is up when it goes on
	}{
		{"a boot that ends is waited for, and then it is asked again", 3 * time.Minute, true, 1, 3 * time.Minute},
		{"one that has ended is not", 0, false, 0, 15 * time.Second},
		{"one that does not end is waited for as long as a boot may take", time.Hour, true, 1, 10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newFakeHost(t)
			h.record.Boots.Timeout = 10 * time.Minute
			h.age, h.ends, h.coming = 15*time.Second, tt.ends, tt.coming
			waits := 0
			for errors.Is(h.runOnce(), transaction.ErrWaited) {
				waits++
				if h.record.Phase != proto.PhaseFetched || len(h.activated) > 0 {
					t.Fatalf("it is %s, and was activated %v", h.record.Phase, h.activated)
				}
			}
			if up := h.age + h.clock; waits != tt.waits || up < tt.begins || up > tt.begins+time.Minute || h.record.Phase != proto.PhaseCommitted {
				t.Errorf("%s after %d waits, up for %s; want committed, %d, %s", h.record.Phase, waits, up, tt.waits, tt.begins)
			}
		})
	}
}

// TestBoots goes ways through a trial boot that no crash leads to.
func TestBoots(t *testing.T) {
	partial := activation.Result{Effect: activation.Partial, Message: "it crashed"}
	walk(t, []way{
		{"a good trial boot activates nothing, and boots once", reboots, proto.PhaseCommitted, "", func(h *fakeHost) bool {
			return len(h.activated) == 0 && h.boots == 1 && h.record.Trial && h.oneShot.IsZero() && h.blessed == h.boot && h.record.Uptime >= 24*time.Hour
		}},
		{"a bad trial boot goes back by one more", func(h *fakeHost) {
			reboots(h)
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool {
			return h.back() && len(h.activated) == 0 && h.boots == 2 && h.record.RollbackBoots == 1 && h.blessed == h.boot
		}},
		{"one without protection whose default cannot be pointed back is judged all the same", func(h *fakeHost) {
			reboots(h)
			h.unable = true
			h.defaulted = func(h *fakeHost, p proto.StorePath) error {
				h.noProfile = h.noProfile || p == newSystem
				return nil
			}
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.boots == 1 && h.profile == newSystem }},
		{"one whose default is pointed back in part is not taken for a third party's", func(h *fakeHost) {
			reboots(h)
			h.unable, h.noProof = true, true
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.boots == 1 && h.profile == newSystem }},
		{"what failed while it waited for its boot is not held against it", func(h *fakeHost) {
			reboots(h)
			h.baseline = deployment.Baseline{}
			h.defaulted = func(h *fakeHost, _ proto.StorePath) error {
				h.baseline.Failed = []string{"late.service"}
				return nil
			}
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return slices.Equal(h.record.FailedBefore, h.baseline.Failed) }},
		{"a host that does not go down is left as it was", func(h *fakeHost) {
			reboots(h)
			h.stays = 100
		}, proto.PhaseInconclusive, proto.ReasonRebootFailed, func(h *fakeHost) bool {
			return h.back() && h.boots == 0 && len(h.activated) == 0 && h.oneShot.IsZero() && h.record.TrialBoots == 3
		}},
		{"however often that has happened before", func(h *fakeHost) {
			reboots(h)
			h.stays, h.record.Interrupted = 100, 5
		}, proto.PhaseInconclusive, proto.ReasonRebootFailed, func(h *fakeHost) bool { return len(h.quarantined) == 0 }},
		{"a host that does not go down at first", func(h *fakeHost) {
			reboots(h)
			h.stays = 2
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.boots == 1 && h.record.TrialBoots == 3 }},
		{"a trial system that does not go down is replaced while it runs", func(h *fakeHost) {
			reboots(h)
			h.unitsFail = true
			h.waiting = func(h *fakeHost) {
				if h.current == newSystem {
					h.stays = 100
				}
			}
			h.intruder = func(h *fakeHost) { h.stays = 100 }
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool { return h.back() && h.tried(oldSystem) == 1 && h.record.RollbackBoots == 2 }},
		{"a trial system whose systemd answers nothing is left by a reset, once it was asked for long", func(h *fakeHost) {
			reboots(h)
			h.unitsFail, h.frozen = true, true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool {
			return h.back() && h.resets == 1 && h.record.RollbackBoots == 2 && h.clock >= h.record.Boots.Timeout && h.tried(oldSystem) == 0
		}},
		{"but not one that refuses", func(h *fakeHost) {
			reboots(h)
			h.unitsFail, h.refuses = true, true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool { return h.back() && h.resets == 0 && h.tried(oldSystem) == 1 }},
		{"nor one that may be booted again", func(h *fakeHost) {
			reboots(h)
			h.unable, h.unitsFail, h.frozen = true, true, true
			h.defaulted = func(h *fakeHost, p proto.StorePath) error {
				if isNew(h.current) {
					return errors.New("/boot cannot be written")
				}
				return nil
			}
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool { return h.resets == 0 }},
		{"a trial boot into what somebody chose", func(h *fakeHost) {
			reboots(h)
			h.foreigner = true
		}, proto.PhaseSuperseded, proto.ReasonThirdParty, func(h *fakeHost) bool { return h.current == foreign && len(h.activated) == 0 }},
		{"a trial boot into what somebody chose, who then switched back", func(h *fakeHost) {
			h.armed()
			h.start()
			h.booted, h.current = foreign, oldSystem
		}, proto.PhaseSuperseded, proto.ReasonThirdParty, func(h *fakeHost) bool { return h.current == oldSystem && len(h.activated) == 0 }},
		{"a trial boot after which what somebody registered meanwhile shall run", func(h *fakeHost) {
			h.armed()
			h.profile, h.bootDefault = foreign, foreign
			h.start()
		}, proto.PhaseSuperseded, proto.ReasonThirdParty, func(h *fakeHost) bool {
			return h.current == foreign && h.boots == 2 && len(h.activated) == 0 && h.guard == ""
		}},
		{"also where the host does not go down", func(h *fakeHost) {
			h.armed()
			h.profile, h.bootDefault, h.stays = foreign, foreign, 100
			h.start()
		}, proto.PhaseSuperseded, proto.ReasonThirdParty, func(h *fakeHost) bool { return h.record.RollbackBoots == 2 && h.profile == foreign }},
		{"a trial boot has the time for the boot, too", func(h *fakeHost) {
			h.inTrial(proto.PhaseProbation)
			h.record.Since = time.Unix(0, 0).Add(-5 * time.Minute)
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.boots == 1 }},
		{"whatever somebody does to the clock meanwhile", func(h *fakeHost) {
			h.inTrial(proto.PhaseProbation)
			h.record.Uptime, h.clock, h.skew = 24*time.Hour, 5*time.Minute, 365*24*time.Hour
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.boots == 1 }},
		{"but not for ever, if it was set back", func(h *fakeHost) {
			h.inTrial(proto.PhaseProbation)
			h.record.Uptime, h.clock, h.skew = 24*time.Hour, 12*time.Minute, -365*24*time.Hour
		}, proto.PhaseInconclusive, proto.ReasonInterrupted, (*fakeHost).back},
		{"but not for ever", func(h *fakeHost) {
			h.inTrial(proto.PhaseProbation)
			h.record.Since = time.Unix(0, 0).Add(-11 * time.Minute)
		}, proto.PhaseInconclusive, proto.ReasonInterrupted, (*fakeHost).back},
		{"a commit after another boot boots it again", func(h *fakeHost) {
			h.inTrial(proto.PhaseCommitting)
			h.start()
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.boots == 3 && len(h.activated) == 0 && h.record.CommitBoots == 1 }},
		{"and goes back if that does not come", func(h *fakeHost) {
			h.inTrial(proto.PhaseCommitting)
			h.start()
			h.stays = 2
		}, proto.PhaseInconclusive, proto.ReasonPowerLoss, func(h *fakeHost) bool { return h.back() && h.record.CommitBoots == 2 }},
		{"a loader that has no entry for it", func(h *fakeHost) {
			reboots(h)
			h.defaulted = func(h *fakeHost, _ proto.StorePath) error { h.loaderRefuses = true; return nil }
		}, proto.PhaseRolledBack, proto.ReasonRegisterFailed, func(h *fakeHost) bool { return h.back() && h.boots == 0 && len(h.quarantined) == 0 }},
		{"what was staged before leaves the proven one its entry", func(h *fakeHost) {
			reboots(h)
			h.generations, h.limit = []proto.StorePath{oldSystem, foreign, foreigner}, 2
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool {
			return h.boots == 1 && slices.Equal(h.generations, []proto.StorePath{oldSystem, foreign, foreigner, oldSystem, newSystem})
		}},
		{"it is staged again without more generations", func(h *fakeHost) {
			reboots(h)
			h.generations, h.limit = []proto.StorePath{oldSystem, newSystem}, 2
		}, proto.PhaseCommitted, "", func(h *fakeHost) bool { return h.boots == 1 && len(h.generations) == 2 }},
		{"a loader with one entry, which is not left to the new one", func(h *fakeHost) {
			reboots(h)
			h.limit = 1
		}, proto.PhaseRolledBack, proto.ReasonRegisterFailed, func(h *fakeHost) bool {
			return h.back() && h.boots == 0 && slices.Equal(h.generations, []proto.StorePath{oldSystem}) && len(h.quarantined) == 0 && !h.proven.Adopted
		}},
		{"a loader that cannot protect it, where that is asked for", func(h *fakeHost) {
			reboots(h)
			h.unable, h.record.Boots.Protected = true, true
		}, proto.PhaseRolledBack, proto.ReasonRegisterFailed, func(h *fakeHost) bool { return h.back() && h.boots == 0 }},
		{"a trial boot without protection that fails leaves the proven system the default", func(h *fakeHost) {
			reboots(h)
			h.unable, h.unitsFail = true, true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, (*fakeHost).back},
		{"one that was armed and is not wanted any more", func(h *fakeHost) {
			h.armed()
			h.record.Phase, h.record.Reason = proto.PhaseRollingBack, proto.ReasonNewerAssignment
		}, proto.PhaseSuperseded, proto.ReasonNewerAssignment, func(h *fakeHost) bool {
			return h.back() && h.oneShot.IsZero() && h.boots == 0 && len(h.activated) == 0
		}},
		{"one that is not wanted any more, but was booted meanwhile", func(h *fakeHost) {
			h.armed()
			h.start()
			h.record.Phase, h.record.Reason = proto.PhaseRollingBack, proto.ReasonNewerAssignment
		}, proto.PhaseSuperseded, proto.ReasonNewerAssignment, func(h *fakeHost) bool {
			return h.back() && h.boots == 2 && len(h.quarantined) == 0
		}},
		{"one that somebody on the host took back", (*fakeHost).takenBack, proto.PhaseRolledBack, proto.ReasonRolledBackByHand, func(h *fakeHost) bool {
			return h.back() && h.oneShot.IsZero() && h.guard == "" && h.boots == 0 && len(h.activated) == 0 && slices.Equal(h.quarantined, []proto.StorePath{newSystem})
		}},
		{"one that was withdrawn while it waited", func(h *fakeHost) {
			h.armed()
			h.record.Phase, h.record.Reason = proto.PhaseRollingBack, proto.ReasonWithdrawn
		}, proto.PhaseInconclusive, proto.ReasonWithdrawn, func(h *fakeHost) bool { return h.back() && h.oneShot.IsZero() }},
		{"a proven system that cannot be activated, with the last resort", func(h *fakeHost) {
			h.unitsFail, h.record.Boots.LastResort = true, true
			h.results = map[proto.StorePath][]activation.Result{oldSystem: {partial, partial, partial}}
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, func(h *fakeHost) bool { return h.back() && h.boots == 1 && h.tried(oldSystem) == 3 }},
		{"and once only", func(h *fakeHost) {
			h.unitsFail, h.record.Boots.LastResort, h.stays = true, true, 100
			h.results = map[proto.StorePath][]activation.Result{oldSystem: {partial, partial, partial, partial, partial, partial, partial, partial, partial, partial}}
		}, proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, func(h *fakeHost) bool { return h.boots == 0 && h.record.RollbackBoots == 1 }},
	})
}

// armed is the host as it waits for the trial boot.
func (h *fakeHost) armed() {
	h.at(proto.PhaseArmed, oldSystem, 0)
	h.record.Way, h.record.Activations = deployment.WayBoot, 0
	h.record.Armed, h.record.Parked, h.record.Generation = true, true, 2
	h.oneShot, h.guard = newSystem, h.record.Agent
}

// takenBack is the host once somebody took back what waits for the trial boot.
func (h *fakeHost) takenBack() {
	h.armed()
	h.record.Phase, h.record.Reason = proto.PhaseRollingBack, proto.ReasonRolledBackByHand
}

// inTrial is the host in its trial boot, in phase p.
func (h *fakeHost) inTrial(p proto.Phase) {
	h.armed()
	h.start()
	h.record.Phase, h.record.Parked, h.record.Trial = p, false, true
	h.record.BootID, h.record.Activated = "b", newSystem
}

// TestModesThatRegisterNothing checks what is only tried.
func TestModesThatRegisterNothing(t *testing.T) {
	for _, tt := range []struct {
		name    string
		way     deployment.Way
		bad     bool
		want    proto.Phase
		reason  proto.Reason
		current proto.StorePath
	}{
		{"tested", deployment.WayTest, false, proto.PhaseTried, "", newSystem},
		{"tested and bad", deployment.WayTest, true, proto.PhaseRolledBack, proto.ReasonUnitsFailed, oldSystem},
		{"asked", deployment.WayDry, false, proto.PhaseTried, "", oldSystem},
		{"asked and refused", deployment.WayDry, true, proto.PhaseFailed, proto.ReasonActivationFailed, oldSystem},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newFakeHost(t)
			h.record.Way, h.unitsFail = tt.way, tt.bad
			d := h.settle()
			if d.Phase != tt.want || d.Reason != tt.reason || h.current != tt.current {
				t.Errorf("ended %s because of %q on %s; want %s because of %q on %s", d.Phase, d.Reason, h.current, tt.want, tt.reason, tt.current)
			}
			if h.profile != oldSystem || h.bootDefault != oldSystem || h.proven.Toplevel != oldSystem || d.Registered {
				t.Errorf("profile %s, boot default %s, proven %s: want the proven system everywhere", h.profile, h.bootDefault, h.proven.Toplevel)
			}
			if tt.way == deployment.WayDry && len(h.activated) > 0 {
				t.Errorf("activated %v", h.activated)
			}
		})
	}
	t.Run("what is asked tells what it would do", func(t *testing.T) {
		h := newFakeHost(t)
		h.record.Way = deployment.WayDry
		if d := h.settle(); !h.told("would restart the following units: app.service") {
			t.Errorf("says %q", d.Message)
		}
	})
	t.Run("after what was tested comes another, and back to the proven one if that fails", func(t *testing.T) {
		h := newFakeHost(t)
		h.record.From, h.current, h.unitsFail = foreign, foreign, true
		if d := h.settle(); d.Phase != proto.PhaseRolledBack || !h.back() {
			t.Errorf("ended %s on %s", d.Phase, h.current)
		}
	})
	t.Run("also when the host was booted before it began", func(t *testing.T) {
		h := newFakeHost(t)
		h.record.From = foreign
		if d := h.settle(); d.Phase != proto.PhaseCommitted {
			t.Errorf("ended %s because of %s: %s", d.Phase, d.Reason, d.Message)
		}
	})
	t.Run("what was tested runs on when what was armed after it is not wanted any more", func(t *testing.T) {
		h := newFakeHost(t)
		h.armed()
		h.record.From, h.current = foreign, foreign
		h.record.Phase, h.record.Reason = proto.PhaseRollingBack, proto.ReasonNewerAssignment
		if d := h.settle(); d.Phase != proto.PhaseSuperseded || h.current != foreign || len(h.activated) > 0 || !h.oneShot.IsZero() {
			t.Errorf("ended %s on %s, next %s, activated %v", d.Phase, h.current, h.oneShot, h.activated)
		}
	})
}
