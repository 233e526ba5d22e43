package transaction_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/profile"
	"kedge/proto"
)

// A scenario is one way that a new system may behave, with its end where
// nothing crashes.
type scenario struct {
	name  string
	setUp func(h *fakeHost)
	want  proto.Phase
	// reason is why, "" for a commit.
	reason proto.Reason
	// quarantined is whether the system must not be tried again.
	quarantined bool
}

func scenarios() []scenario {
	return append([]scenario{
		{"a good system commits", func(*fakeHost) {}, proto.PhaseCommitted, "", false},
		{"an adopted system is made the boot default first", func(h *fakeHost) {
			h.record.Proven.Adopted, h.proven.Adopted = true, true
		}, proto.PhaseCommitted, "", false},
		{"a good system with checks commits", (*fakeHost).declareChecks, proto.PhaseCommitted, "", false},
		{"failed units of a system with checks roll back", func(h *fakeHost) {
			h.declareChecks()
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, true},
		{"failed units roll back", func(h *fakeHost) { h.unitsFail = true }, proto.PhaseRolledBack, proto.ReasonUnitsFailed, true},
		{"no contact rolls back", func(h *fakeHost) { h.contact[newSystem] = false }, proto.PhaseRolledBack, proto.ReasonNoContact, true},
		{"no contact on either side is inconclusive", func(h *fakeHost) { clear(h.contact) }, proto.PhaseInconclusive, proto.ReasonNoContact, false},
		{"failed units without contact afterwards are inconclusive", func(h *fakeHost) {
			h.unitsFail = true
			clear(h.contact)
		}, proto.PhaseInconclusive, proto.ReasonUnitsFailed, false},
		{"a broken activation rolls back", func(h *fakeHost) {
			h.activates = activation.Result{Effect: activation.Broken, Reason: proto.ReasonActivationFailed}
		}, proto.PhaseRolledBack, proto.ReasonActivationFailed, true},
		{"an activation that is interrupted every time is inconclusive at first", func(h *fakeHost) {
			h.activates = activation.Result{Effect: activation.Partial}
		}, proto.PhaseInconclusive, proto.ReasonInterrupted, false},
		{"however many attempts ended otherwise before", func(h *fakeHost) {
			h.activates = activation.Result{Effect: activation.Partial}
			h.record.Attempt = 5
		}, proto.PhaseInconclusive, proto.ReasonInterrupted, false},
		{"and quarantined at the second interruption", func(h *fakeHost) {
			h.activates = activation.Result{Effect: activation.Partial}
			h.record.Interrupted = 1
		}, proto.PhaseRolledBack, proto.ReasonInterrupted, true},
		{"what somebody took back that was armed is never booted, as far as nobody boots it meanwhile", (*fakeHost).takenBack, proto.PhaseRolledBack, proto.ReasonRolledBackByHand, true},
		{"a good trial boot commits", reboots, proto.PhaseCommitted, "", false},
		{"a good trial boot that somebody else asks for commits", func(h *fakeHost) {
			h.record.Way = deployment.WayBoot
		}, proto.PhaseCommitted, "", false},
		{"a good trial boot without protection commits", func(h *fakeHost) {
			reboots(h)
			h.unable = true
		}, proto.PhaseCommitted, "", false},
		{"a good trial boot commits above what was staged before, in a menu of two", func(h *fakeHost) {
			reboots(h)
			h.generations, h.limit = []proto.StorePath{oldSystem, foreign}, 2
		}, proto.PhaseCommitted, "", false},
		{"failed units in a trial boot go back", func(h *fakeHost) {
			reboots(h)
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, true},
		{"failed units in a trial boot without protection go back", func(h *fakeHost) {
			reboots(h)
			h.unable, h.unitsFail = true, true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, true},
		{"a trial boot without contact goes back", func(h *fakeHost) {
			reboots(h)
			h.contact[newSystem] = false
		}, proto.PhaseRolledBack, proto.ReasonNoContact, true},
		{"a trial boot without contact on either side is inconclusive", func(h *fakeHost) {
			reboots(h)
			clear(h.contact)
		}, proto.PhaseInconclusive, proto.ReasonNoContact, false},
		{"a trial boot that panics is inconclusive at first", func(h *fakeHost) {
			reboots(h)
			h.panics = true
		}, proto.PhaseInconclusive, proto.ReasonTrialBootFailed, false},
		{"and quarantined at the second time", func(h *fakeHost) {
			reboots(h)
			h.panics, h.record.Interrupted = true, 1
		}, proto.PhaseRolledBack, proto.ReasonTrialBootFailed, true},
		{"a trial boot that never ends goes back", func(h *fakeHost) {
			reboots(h)
			h.hangs = true
		}, proto.PhaseRolledBack, proto.ReasonActivationHung, true},
		{"a proven system that cannot be activated is booted, as a last resort", func(h *fakeHost) {
			partial := activation.Result{Effect: activation.Partial}
			h.unitsFail, h.record.Boots.LastResort = true, true
			h.results = map[proto.StorePath][]activation.Result{oldSystem: {partial, partial, partial}}
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, true},
		{"what somebody wants back goes back", func(h *fakeHost) { h.recall = "by ada" }, proto.PhaseRolledBack, proto.ReasonRolledBackByHand, true},
		{"what somebody goes back to commits", func(h *fakeHost) { h.byHand() }, proto.PhaseCommitted, proto.ReasonRolledBackByHand, false},
		{"what somebody goes back to is judged like everything else", func(h *fakeHost) {
			h.byHand()
			h.unitsFail = true
		}, proto.PhaseRolledBack, proto.ReasonUnitsFailed, true},
		{"what was proven is brought back", (*fakeHost).drift, proto.PhaseRolledBack, proto.ReasonDriftRestored, false},
		{"what was proven is brought back though only registered otherwise", func(h *fakeHost) {
			h.drift()
			h.current, h.whole, h.agent = oldSystem, oldSystem, oldSystem
		}, proto.PhaseRolledBack, proto.ReasonDriftRestored, false},
		{"a loader that refuses rolls back", func(h *fakeHost) { h.loaderRefuses = true }, proto.PhaseRolledBack, proto.ReasonRegisterFailed, false},
	}, specialScenarios()...)
}

// reboots is a deployment whose way is a reboot.
func reboots(h *fakeHost) { h.record.Way = deployment.WayReboot }

func (h *fakeHost) requireProven(t *testing.T) {
	t.Helper()
	h.requireRunning(t, oldSystem, h.record.BackTo())
	for what, got := range map[string]proto.StorePath{"profile": h.profile, "boot default": h.bootDefault, "proven": h.proven.Toplevel} {
		if got != oldSystem {
			t.Errorf("%s is %s, want the proven system", what, got)
		}
	}
}

func (h *fakeHost) requireNew(t *testing.T) {
	t.Helper()
	h.requireRunning(t, h.record.Toplevel, h.record.System())
	for what, got := range map[string]proto.StorePath{"profile": h.profile, "boot default": h.bootDefault, "proven": h.proven.Toplevel} {
		if got != h.record.Toplevel {
			t.Errorf("%s is %s, want the new system", what, got)
		}
	}
	if h.agent != h.current {
		t.Errorf("the agent is that of %s, and %s runs", h.agent, h.current)
	}
	if got := h.proven.System(); got != h.record.System() {
		t.Errorf("proven is %s, want what was judged", got)
	}
	if got := h.proven.Release; got != h.record.Release {
		t.Errorf("proven is release %q, want %q", got, h.record.Release)
	}
}

func (h *fakeHost) requireSettled(t *testing.T) {
	t.Helper()
	if h.guard != "" || !h.oneShot.IsZero() {
		t.Errorf("the next boot runs %q, of %s; want nothing special about it", h.guard, h.oneShot)
	}
	if h.record.Phase == proto.PhaseCommitted {
		h.requireNew(t)
	} else {
		h.requireProven(t)
	}
}

func TestTransactionWithoutCrash(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			h := newFakeHost(t)
			s.setUp(h)
			d := h.settle()
			if d.Phase != s.want || d.Reason != s.reason {
				t.Errorf("ended %s because of %q, want %s because of %q", d.Phase, d.Reason, s.want, s.reason)
			}
			if got := slices.Contains(h.quarantined, h.suspect()); got != s.quarantined {
				t.Errorf("quarantined is %t, want %t", got, s.quarantined)
			}
			h.requireSettled(t)
			h.requireResults(t)
		})
	}
}

// TestTheRecordIsSavedWhereSomethingHappens, and only there: each time costs two waits
// for the disk.
func TestTheRecordIsSavedWhereSomethingHappens(t *testing.T) {
	h := newFakeHost(t)
	h.settle()
	type saved struct {
		phase      proto.Phase
		begun      int
		registered bool
	}
	var got []saved
	for _, d := range h.saved {
		got = append(got, saved{d.Phase, d.Activations, d.Registered})
	}
	want := []saved{
		{proto.PhaseActivating, 1, false}, // then the activation
		{proto.PhaseProbation, 1, false},  // then the restart of the agent
		{proto.PhaseCommitting, 1, true},  // then the profile and the boot default
		{proto.PhaseCommitted, 1, true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("saved as %+v, want %+v", got, want)
	}
}

// TestCrashAtEveryCall ends the process, or the power, before and after every
// single effect, and once more, in either way, at every later one. Whatever
// happens, the host ends on the proven system or on the new one, committed, all
// of it and not half, and what would boot was proven at every instant
// (fakeHost.check).
func TestCrashAtEveryCall(t *testing.T) {
	var kinds []crash
	for _, power := range []bool{false, true} {
		for _, applied := range []bool{false, true} {
			kinds = append(kinds, crash{power: power, applied: applied})
		}
	}
	for _, s := range scenarios() {
		for _, first := range kinds {
			for _, second := range kinds {
				t.Run(fmt.Sprintf("%s/%+v/%+v", s.name, first, second), func(t *testing.T) {
					crashTwice(t, s, first, second)
				})
			}
		}
	}
}

func crashTwice(t *testing.T, s scenario, first, second crash) {
	for i := 1; ; i++ {
		once := crashed(t, s, map[int]crash{i: first})
		if once.calls < i {
			return // it ended before the call that was to crash
		}
		for j := i + 1; ; j++ {
			if crashed(t, s, map[int]crash{i: first, j: second}).calls < j {
				break
			}
		}
	}
}

// crashed runs a scenario to its end with crashes at the given calls.
func crashed(t *testing.T, s scenario, at map[int]crash) *fakeHost {
	t.Helper()
	h := newFakeHost(t)
	s.setUp(h)
	h.crashAt = at
	power := false
	for _, c := range at {
		power = power || c.power
	}
	d := h.settle()
	if d.Phase != h.record.Phase {
		t.Fatalf("crash at %v: returned %s, but %s is on the disk", at, d.Phase, h.record.Phase)
	}
	if !power && d.Phase != s.want && d.Reason != proto.ReasonInterrupted {
		t.Errorf("crash at %v: ended %s because of %q, want %s", at, d.Phase, d.Reason, s.want)
	}
	if s.want != proto.PhaseCommitted && d.Phase == proto.PhaseCommitted {
		t.Errorf("crash at %v: committed a system that must not be", at)
	}
	if !h.contact[oldSystem] && (d.Phase == proto.PhaseRolledBack || len(h.quarantined) > 0) {
		t.Errorf("crash at %v: ended %s, quarantined %v: nobody saw the proven system make contact", at, d.Phase, h.quarantined)
	}
	h.requireSettled(t)
	h.requireResults(t)
	if t.Failed() {
		t.Fatalf("history: %+v", d.History)
	}
	return h
}

func TestUntouchedRefusalFails(t *testing.T) {
	h := newFakeHost(t)
	h.activates = activation.Result{Effect: activation.Untouched, Reason: proto.ReasonCheckRefused, Message: "inhibited"}
	d := h.settle()
	if d.Phase != proto.PhaseFailed || d.Reason != proto.ReasonCheckRefused || d.Message != "inhibited" {
		t.Errorf("got %s, %s, %q, want a failure with the check's words", d.Phase, d.Reason, d.Message)
	}
	h.requireProven(t)
}

func TestThirdParty(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setUp func(h *fakeHost)
	}{
		{"before the activation", func(h *fakeHost) { h.current, h.profile, h.bootDefault = foreign, oldSystem, oldSystem }},
		{"the running system during probation", func(h *fakeHost) { h.intruder = func(h *fakeHost) { h.current = foreign } }},
		{"during a probation that then fails", func(h *fakeHost) {
			h.unitsFail = true
			h.intruder = func(h *fakeHost) { h.current = foreign }
			h.contact[foreign] = false
		}},
		{"the profile during probation", func(h *fakeHost) { h.intruder = func(h *fakeHost) { h.profile = foreign } }},
		{"the profile during a probation that then fails", func(h *fakeHost) {
			h.unitsFail = true
			h.intruder = func(h *fakeHost) { h.profile = foreign }
		}},
		{"the profile before the activation", func(h *fakeHost) { h.profile = foreign }},
		{"between two tries of an activation", func(h *fakeHost) {
			h.activates = activation.Result{Effect: activation.Partial}
			h.waiting = func(h *fakeHost) { h.current = foreign }
		}},
		{"between two tries of a registration", func(h *fakeHost) {
			h.loaderRefuses = true
			h.waiting = func(h *fakeHost) { h.current, h.profile = foreign, foreign }
		}},
		{"between two tries of the way back", func(h *fakeHost) {
			h.unitsFail = true
			h.results = map[proto.StorePath][]activation.Result{oldSystem: busy(2)}
			h.waiting = func(h *fakeHost) { h.current, h.profile = foreign, foreign }
		}},
		{"between two tries of the activation that a commit repeats", func(h *fakeHost) {
			h.at(proto.PhaseCommitting, oldSystem, 1)
			h.results = map[proto.StorePath][]activation.Result{newSystem: busy(2)}
			h.waiting = func(h *fakeHost) { h.current, h.profile = foreign, foreign }
		}},
		{"the running system while the proven one is judged", func(h *fakeHost) {
			h.unitsFail, h.contact[foreign] = true, true
			h.later = func(h *fakeHost) { h.current = foreign }
		}},
		{"the profile while the proven one is judged", func(h *fakeHost) {
			h.unitsFail = true
			h.later = func(h *fakeHost) { h.profile = foreign }
		}},
		{"with a link that is no generation, during a probation", func(h *fakeHost) {
			h.intruder = func(h *fakeHost) {
				h.profile, h.links = foreign, &profile.LinkError{Link: "system", Err: errors.New("no generation")}
			}
		}},
		{"with a link that is no generation, before the way back", func(h *fakeHost) {
			h.unitsFail = true
			h.intruder = func(h *fakeHost) {
				h.profile, h.links = foreign, &profile.LinkError{Link: "system", Err: errors.New("no generation")}
			}
		}},
		{"after the decision to commit", func(h *fakeHost) {
			h.record.Phase, h.record.BootID = proto.PhaseCommitting, "a"
			h.current = foreign
		}},
		{"in the middle of the commit", func(h *fakeHost) {
			h.record.Phase, h.record.BootID, h.record.Registered = proto.PhaseCommitting, "a", true
			h.current, h.profile = foreign, foreign
		}},
		{"before the host goes down for its trial boot", func(h *fakeHost) {
			h.armed()
			h.record.Way, h.record.Parked = deployment.WayReboot, false
			h.current, h.profile, h.bootDefault = foreign, foreign, foreign
		}},
		{"while it waits for its trial boot", func(h *fakeHost) {
			h.armed()
			h.record.Phase, h.record.Reason = proto.PhaseRollingBack, proto.ReasonThirdParty
			h.current, h.profile, h.bootDefault = foreign, foreign, foreign
		}},
		{"the running system, while it waits for a trial boot that is not protected", func(h *fakeHost) {
			h.armed()
			h.unable, h.oneShot = true, proto.StorePath{}
			h.record.Phase, h.record.Reason, h.record.Registered = proto.PhaseRollingBack, proto.ReasonThirdParty, true
			h.current, h.profile, h.bootDefault = foreign, newSystem, newSystem
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newFakeHost(t)
			tt.setUp(h)
			d := h.settle()
			if d.Phase != proto.PhaseSuperseded || d.Reason != proto.ReasonThirdParty {
				t.Errorf("ended %s because of %q, want superseded by a third party", d.Phase, d.Reason)
			}
			if h.current == newSystem && d.Registered {
				t.Error("the new system was activated over the third party's")
			}
			if h.current != foreign && h.profile != foreign {
				t.Errorf("%s runs and the profile names %s, want the third party's system left alone", h.current, h.profile)
			}
			if len(h.quarantined) > 0 {
				t.Errorf("quarantined %v, want nothing", h.quarantined)
			}
			if h.record.Armed && (h.guard != "" || !h.oneShot.IsZero() || h.bootDefault == newSystem || h.profile == newSystem) {
				t.Errorf("the next boot runs %q, once %s, by default %s; want nothing of a system that was not proven", h.guard, h.oneShot, h.bootDefault)
			}
		})
	}
}

// busy is what n activations come to while somebody else is switching.
func busy(n int) []activation.Result {
	return slices.Repeat([]activation.Result{{Effect: activation.Busy, Reason: proto.ReasonBusy}}, n)
}

// TestAnActivationThatHangsEndsNothingElse: its deadline is its own, and not that
// of the transaction.
func TestAnActivationThatHangsEndsNothingElse(t *testing.T) {
	h := newFakeHost(t)
	h.record.ActivationTimeout = time.Nanosecond
	h.results = map[proto.StorePath][]activation.Result{
		newSystem: {{Effect: activation.Broken, Reason: proto.ReasonActivationHung}},
	}
	if d := h.settle(); d.Phase != proto.PhaseRolledBack || d.Reason != proto.ReasonActivationHung {
		t.Errorf("ended %s because of %s: %s; want %s because of %s", d.Phase, d.Reason, d.Message, proto.PhaseRolledBack, proto.ReasonActivationHung)
	}
	h.requireProven(t)
}

func TestSomebodyElsesSwitchIsWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setUp func(h *fakeHost)
		want  proto.Phase
	}{
		{"with the boot default", func(h *fakeHost) { h.loaderBusy = 100 }, proto.PhaseCommitted},
		{"with the way back", func(h *fakeHost) {
			h.unitsFail = true
			h.results = map[proto.StorePath][]activation.Result{oldSystem: busy(100)}
		}, proto.PhaseRolledBack},
		{"with the activation of what is decided", func(h *fakeHost) {
			h.at(proto.PhaseCommitting, oldSystem, 1)
			h.results = map[proto.StorePath][]activation.Result{newSystem: busy(100)}
		}, proto.PhaseCommitted},
		{"but not for ever", func(h *fakeHost) { h.loaderBusy = 305 }, proto.PhaseRolledBack},
		{"with the activation, and nothing was touched", func(h *fakeHost) {
			h.activates = activation.Result{Effect: activation.Busy}
		}, proto.PhaseFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newFakeHost(t)
			tt.setUp(h)
			if d := h.settle(); d.Phase != tt.want {
				t.Errorf("ended %s after %s because of %s: %s; want %s", d.Phase, h.clock, d.Reason, d.Message, tt.want)
			}
			if h.clock < time.Minute || h.clock > 15*time.Minute {
				t.Errorf("waited %s, want minutes", h.clock)
			}
			h.requireSettled(t)
		})
	}
}
