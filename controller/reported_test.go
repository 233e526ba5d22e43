package controller

import (
	"maps"
	"slices"
	"testing"
	"time"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
)

// TestAFailureThatAHostTriesAgainAfterHaltsNothing: a fetch may fail for a moment.
func TestAFailureThatAHostTriesAgainAfterHaltsNothing(t *testing.T) {
	r := newRunner()
	r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
	for _, ready := range []proto.Condition{
		{Status: proto.StatusFalse, Reason: proto.ReasonDeploying},
		{Status: proto.StatusFalse, Reason: proto.ReasonRetrying},
		{Status: proto.StatusUnknown, Reason: proto.ReasonNoDesired}, // its agent has just started
	} {
		s := status(host(t, "web1"), 1, proto.PhaseFailed)
		ready.Type = proto.ConditionReady
		s.Conditions = []proto.Condition{ready}
		r.fleet.Apply(s, time.Now())
		r.mustLook(t)
		r.mustBe(t, string(ready.Reason), rollout.Running)
	}
	r.says(t, "web1", proto.PhaseFailed)
	r.mustBe(t, "web1 gave up", rollout.Halted)
}

func TestWhatAHostWillNotDeployIsAFailure(t *testing.T) {
	want := proto.Target{Serial: 3, Toplevel: storePath(t, "a")}
	base := status(host(t, "web1"), 2, proto.PhaseCommitted)
	for name, tt := range map[string]struct {
		change  func(*proto.Status)
		serial  proto.Serial
		verdict proto.Verdict
	}{
		"the last one was another": {func(*proto.Status) {}, 2, proto.VerdictSucceeded},
		"it failed here before": {func(s *proto.Status) {
			s.Serial = 3
			s.Conditions = []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusFalse, Reason: proto.ReasonQuarantined}}
		}, 3, proto.VerdictRefused},
		"it is about to begin": {func(s *proto.Status) {
			s.Serial = 3
			s.Conditions = []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusFalse, Reason: proto.ReasonDeploying}}
		}, 2, proto.VerdictSucceeded},
		"it is suspended": {func(s *proto.Status) {
			s.Serial = 3
			s.Conditions = []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusFalse, Reason: proto.ReasonSuspended}}
		}, 3, proto.VerdictPending},
		"it does not trust the key": {func(s *proto.Status) {
			s.Refused = 3
			s.Conditions = []proto.Condition{{Type: proto.ConditionAccepted, Status: proto.StatusFalse, Reason: proto.ReasonUnknownKey}}
		}, 3, proto.VerdictRefused},
		"what it says of it counts": {func(s *proto.Status) {
			*s = status(s.Host, 3, proto.PhaseRolledBack)
			s.Conditions = []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusFalse, Reason: proto.ReasonGaveUp}}
		}, 3, proto.VerdictRolledBack},
	} {
		s := base
		tt.change(&s)
		if serial, verdict := reported(s, want); serial != tt.serial || verdict != tt.verdict {
			t.Errorf("%s: %s of serial %s, want %s of %s", name, verdict, serial, tt.verdict, tt.serial)
		}
	}
}

// TestNobodyWaitsForEverForAHostsOwnHold: a host that waits for a person there keeps no
// wave open, and is charged to nobody.
func TestNobodyWaitsForEverForAHostsOwnHold(t *testing.T) {
	now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	fleet := NewFleet(func() time.Time { return now })
	fleet.CaughtUp()
	r := newRunnerOf(fleet)
	r.now = fleet.now
	all := fleetOf(t, "a")
	s, err := spec.Parse([]byte(`{"rollout": {"waves": [{"name": "first", "hosts": "web1"}], "budget": {"failed": 0, "silent": 0}}}`), slices.Collect(maps.Keys(all)))
	if err != nil {
		t.Fatal(err)
	}
	says := func(reason proto.Reason) {
		for h := range all {
			fleet.Heard(h, "", now)
		}
		last := status(host(t, "web1"), 0, proto.PhaseCommitted)
		last.Serial = 1
		last.Conditions = []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusFalse, Reason: reason}}
		fleet.Apply(last, now)
		r.mustLook(t)
	}
	for h := range all {
		fleet.Heard(h, "", now)
	}
	if err := r.begin(t.Context(), revision(t, "1"), s, all, nil); err != nil {
		t.Fatal(err)
	}
	r.mustHavePublished(t, "first", "web1=a")
	now = now.Add(20 * time.Minute)
	says(proto.ReasonSuspended)
	r.mustBe(t, "while web1 is suspended", rollout.Running)
	r.mustHavePublished(t, "for a while")
	now = now.Add(10 * time.Minute)
	says(proto.ReasonSuspended)
	r.mustHavePublished(t, "after half an hour", "web2=a", "web3=a")
	show := fleet.Rollout("main")
	if w := show.Rollout.Waves[0]; w.Deferred != 1 || show.Hosts[0].State != proto.RolloutHostDeferred {
		t.Errorf("wave = %+v, web1 is %s; want it deferred", w, show.Hosts[0].State)
	}
}
