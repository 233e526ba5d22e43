package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"kedge/agent"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDeploysWhatIsAssigned(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.awaitStatus("a status of a host that nothing is wanted of", func(s proto.Status) bool {
		return s.Host == w.host && s.Systems.Proven == pathA && s.Deployment.Phase == proto.PhaseNone
	})

	w.assign(7, pathB)
	d := w.awaitTransaction()
	if d.Phase != proto.PhaseFetched || d.Toplevel != pathB || d.Proven.Toplevel != pathA || !d.Proven.Adopted ||
		d.Serial != 7 || d.Attempt != 1 || d.Agent == "" || d.Probation.Deadline == 0 || d.RollbackProbation.Deadline == 0 {
		t.Errorf("the transaction got %+v", d)
	}
	c, err := w.files.Contact()
	if err != nil || !c.Accepted || c.Serial != 7 || c.InvocationID != "inv" || c.BootID != "boot" {
		t.Errorf("receipt is %+v (%v), want one of this process for serial 7", c, err)
	}

	w.commit(d)
	s := w.awaitStatus("the commit to be reported", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseCommitted })
	if s.Deployment.Verdict != proto.VerdictSucceeded || s.Systems.Proven != pathB || s.Serial != 7 {
		t.Errorf("status is %+v", s)
	}
	w.awaitStatus("the host to be ready", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Status == proto.StatusTrue
	})
	w.await("every step as an event, in order", func() bool {
		var phases []proto.Phase
		for _, e := range w.events {
			if e.Deployment == d.ID {
				phases = append(phases, e.Phase)
			}
		}
		return slices.Equal(phases, []proto.Phase{
			proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseActivating, proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseCommitted,
		})
	})
}

func TestAStatusComesNotRightAfterAnother(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.assign(7, pathB)
	w.commit(w.awaitTransaction())
	w.awaitStatus("the commit to be reported", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseCommitted })
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.statuses[1:] {
		if between := w.statuses[i+1].Time.Sub(w.statuses[i].Time); between < agent.PublishPause {
			t.Errorf("%s and %s are %v apart", w.statuses[i].Deployment.Phase, w.statuses[i+1].Deployment.Phase, between)
		}
	}
}

func TestTheFirstStatusSaysWhatTheAgentDecided(t *testing.T) {
	w := newWorld(t)
	w.assign(7, pathA)
	w.start()
	w.awaitStatus("any", func(proto.Status) bool { return true })
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := condition(w.statuses[0], proto.ConditionReady); got.Status != proto.StatusTrue || w.statuses[0].Serial != 7 {
		t.Errorf("the first status is of serial %v and %+v, want 7 and ready", w.statuses[0].Serial, got)
	}
}

func TestAStatusComesWhereNothingCanBeDecided(t *testing.T) {
	w := newWorld(t)
	w.unread = errors.New("nobody answers")
	w.start()
	w.awaitStatus("one that says that nothing is known", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Status == proto.StatusUnknown
	})
}

func TestRefusesForeignKeys(t *testing.T) {
	foreign := newKey(t, "controller-1") // the name proves nothing
	for _, tt := range []struct {
		name   string
		assign func(w *world)
		want   proto.Reason
	}{
		{"an assignment by a stranger who uses the controller's name", func(w *world) { w.assignBy(7, pathB, w.release, foreign) }, proto.ReasonBadSignature},
		{"an assignment by a key with another name", func(w *world) { w.assignBy(7, pathB, w.release, newKey(t, "mallory")) }, proto.ReasonUnknownKey},
		{"a release that only the controller signed", func(w *world) { w.assignBy(7, pathB, w.controller, w.controller) }, proto.ReasonUnknownKey},
		{"bytes that are no message", func(w *world) {
			w.change(func() { w.desired = []byte("{") })
			w.ring()
		}, proto.ReasonMalformed},
		{"a message for another host", func(w *world) {
			mine := w.host
			w.host = proto.HostName{}
			if err := w.host.UnmarshalText([]byte("web2")); err != nil {
				t.Fatal(err)
			}
			w.assign(7, pathB)
			w.host = mine
		}, proto.ReasonWrongHost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			tt.assign(w)
			s := w.awaitStatus("a refusal", func(s proto.Status) bool {
				return condition(s, proto.ConditionAccepted).Status == proto.StatusFalse
			})
			if got := condition(s, proto.ConditionAccepted).Reason; got != tt.want {
				t.Errorf("refused because of %q, want %q", got, tt.want)
			}
			if s.Deployment.Phase != proto.PhaseNone || s.Serial != 0 {
				t.Errorf("something was begun: %+v", s)
			}
			w.await("an event with the reason", func() bool {
				return slices.ContainsFunc(w.events, func(e proto.Event) bool { return e.Reason == tt.want })
			})
			if c, err := w.files.Contact(); err != nil || c.Accepted {
				t.Errorf("receipt is %+v (%v), want none that counts", c, err)
			}
		})
	}
}

func TestRefusesAnOlderSerial(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	w.assign(7, pathA)
	w.awaitStatus("serial 7", func(s proto.Status) bool { return s.Serial == 7 })
	stop() // the floor is on the disk
	w.start()
	w.assign(6, pathB)
	w.awaitStatus("a refusal that says what was accepted", func(s proto.Status) bool {
		return condition(s, proto.ConditionAccepted).Reason == proto.ReasonRollback && s.Floor == 7
	})
}

func TestAWithdrawalIsRememberedThoughItsStateIsRefused(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.assign(7, pathA)
	w.awaitStatus("serial 7", func(s proto.Status) bool { return s.Serial == 7 })
	d, err := proto.ParseDesired(w.desired)
	if err != nil {
		t.Fatal(err)
	}
	release := proto.DigestOf(d.Release.Payload)
	withdrawals, err := proto.Withdrawals{Serial: 1, Issued: time.Now(), Releases: []proto.Digest{release}}.Sign(w.release)
	if err != nil {
		t.Fatal(err)
	}
	d.Withdrawals = &withdrawals
	encoded, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.change(func() { w.desired = encoded })
	w.ring()
	w.awaitStatus("a refusal", func(s proto.Status) bool {
		return condition(s, proto.ConditionAccepted).Reason == proto.ReasonWithdrawn
	})
	if f, err := w.files.Floor(); err != nil || !slices.Contains(f.Withdrawn, release) {
		t.Errorf("floor is %+v (%v), want %s withdrawn", f, err, release)
	}
}

func TestNewerAssignmentOvertakesAFetch(t *testing.T) {
	w := newWorld(t)
	ended := make(chan struct{})
	w.fetch = func(ctx context.Context, o closure.FetchOrder) error {
		if o.Toplevel == pathB {
			<-ctx.Done()
			close(ended)
			return ctx.Err()
		}
		return nil
	}
	w.start()
	w.assign(7, pathB)
	w.awaitStatus("the fetch", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseAccepted })
	w.assign(8, pathC)
	w.await("the transaction of the newer one", func() bool { return len(w.ensured) > 0 && w.ensured[0].Toplevel == pathC })
	w.awaitClosed("the end of the fetch", ended)
	w.await("an event that says so", func() bool {
		return slices.ContainsFunc(w.events, func(e proto.Event) bool {
			return e.Serial == 7 && e.Phase == proto.PhaseSuperseded && e.Reason == proto.ReasonNewerAssignment
		})
	})
}

func TestFetchThatFailsIsReportedWithItsReason(t *testing.T) {
	w := newWorld(t)
	w.fetch = func(context.Context, closure.FetchOrder) error {
		return &closure.Rejection{Reason: proto.ReasonDiskFull, Err: errors.New("12 MiB missing")}
	}
	w.start()
	w.assign(7, pathB)
	s := w.awaitStatus("the failure", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseFailed })
	if s.Deployment.Reason != proto.ReasonDiskFull || s.Deployment.Message != "12 MiB missing" {
		t.Errorf("reported %q, %q, want the fetcher's reason and words", s.Deployment.Reason, s.Deployment.Message)
	}
	w.awaitStatus("the wait for another try", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonRetrying
	})
	w.change(func() { w.fetch = func(context.Context, closure.FetchOrder) error { return nil } })
	w.ring() // somebody asks
	w.await("the second attempt", func() bool { return len(w.ensured) > 0 && w.ensured[0].Attempt == 2 })
}

func TestSettlesWhatIsUnfinishedWithoutAnyContact(t *testing.T) {
	w := newWorld(t)
	if err := w.files.Prepare(); err != nil {
		t.Fatal(err)
	}
	d := deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseProbation, Proven: deployment.Proven{Toplevel: pathA}}
	if err := w.files.Save(d); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.await("its transaction to be started", func() bool { return len(w.ensured) > 0 && w.ensured[0].ID == d.ID })
}

func TestTornRecordIsReportedAndLeftAlone(t *testing.T) {
	w := newWorld(t)
	if err := w.files.Prepare(); err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(w.files.State, statefile.DeploymentFile)
	for _, content := range []string{`{"format":1,"id":"7-`, `{"format":99}`} {
		if err := os.WriteFile(record, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		stop := w.start()
		w.assign(7, pathB)
		w.awaitStatus("the torn record to be reported", func(s proto.Status) bool {
			c := condition(s, proto.ConditionStateValid)
			return c.Status == proto.StatusFalse && c.Reason == proto.ReasonStateUnreadable
		})
		stop()
		if b, err := os.ReadFile(record); err != nil || string(b) != content {
			t.Errorf("the record is %q (%v) now, want it left as it was", b, err)
		}
		if len(w.ensured) > 0 {
			t.Errorf("a transaction was started: %+v", w.ensured)
		}
	}
}

func TestMetricsFollowTheConventions(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.assign(7, pathA)
	w.awaitStatus("serial 7", func(s proto.Status) bool { return s.Serial == 7 })
	problems, err := testutil.GatherAndLint(w.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for name, want := range map[string]int{
		"kedge_agent_rejected_total":      len(proto.RefusalReasons()) + 2,
		"kedge_agent_deployments_total":   len(proto.Verdicts()) - 1,
		"kedge_agent_deployment_phase":    len(proto.Phases()),
		"kedge_agent_deployment_reason":   len(proto.DeploymentReasons()),
		"kedge_agent_outbox_torn_total":   1,
		"kedge_agent_hook_failures_total": len(hook.Points()),
		"kedge_agent_connected":           1,
	} {
		if got, err := testutil.GatherAndCount(w.registry, name); err != nil || got != want {
			t.Errorf("%s has %d series (%v), want %d from the start", name, got, err, want)
		}
	}
}

func TestMetricsAreOfTheDeployment(t *testing.T) {
	w := newWorld(t)
	w.record(deployment.Deployment{
		ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseRolledBack, Reason: proto.ReasonUnitsFailed,
		Checks: []proto.CheckResult{{Name: "web"}, {Name: "mail", Passed: true}},
	})
	if err := os.Mkdir(filepath.Join(w.files.State, "outbox"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.files.State, "outbox", tornEvent), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := w.agent()
	if err := a.Outbox.Drain(t.Context(), nil); err != nil { // with nothing to publish
		t.Fatal(err)
	}
	all, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	reasons, checks := map[string]float64{}, map[string]float64{}
	for _, family := range all {
		switch family.GetName() {
		case "kedge_agent_deployment_reason":
			for _, m := range family.GetMetric() {
				if v := m.GetGauge().GetValue(); v != 0 {
					reasons[m.GetLabel()[0].GetValue()] = v
				}
			}
		case "kedge_agent_check_passed":
			for _, m := range family.GetMetric() {
				checks[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		case "kedge_agent_outbox_torn_total":
			if got := family.GetMetric()[0].GetCounter().GetValue(); got != 1 {
				t.Errorf("%v events are torn, want 1", got)
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"units-failed": 1}, reasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"web": 0, "mail": 1}, checks); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
}

// tornEvent is the file of an event in the outbox.
const tornEvent = "00000000000000000001-000102030405060708090a0b0c0d0e0f.json"
