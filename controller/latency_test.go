package controller

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// TestLatencyGoesOnAfterARestart: what was counted is there again, and nothing of it is
// counted again.
func TestLatencyGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunner()
		r.fleet.Looked(proto.SourceStatus{Channel: "main", Revision: revision(t, "1"), Found: time.Now()})
		time.Sleep(20 * time.Second) // it is built
		r.deployAs(t, "1", "{}", fleetOf(t, "a"))
		time.Sleep(4 * time.Second)
		r.says(t, "web1", proto.PhaseCommitted)
		r.says(t, "web2", proto.PhaseRolledBack)

		again := r.restarted()
		again.mustLook(t)
		time.Sleep(time.Minute)
		again.says(t, "web3", proto.PhaseCommitted)
		again.says(t, "web1", proto.PhaseCommitted)
		again.fleet.Looked(proto.SourceStatus{Channel: "main", Revision: revision(t, "2"), Found: time.Now()})
		again.deployAs(t, "2", "{}", fleetOf(t, "b"))
		again.says(t, "web1", proto.PhaseCommitted)

		o := rollouts{runners: map[string]*runner{"main": again.runner, "new": newRunner().runner}}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(newLatencyCollector(o.latencies))
		all, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all[0].GetMetric() {
			h := m.GetHistogram()
			want := map[string][4]float64{"main": {3, 24 + 84 + 0, 1, 2}, "new": {}}[m.GetLabel()[0].GetValue()]
			got := [4]float64{
				float64(h.GetSampleCount()), h.GetSampleSum(), float64(h.GetBucket()[0].GetCumulativeCount()), float64(h.GetBucket()[4].GetCumulativeCount()),
			}
			if got != want {
				t.Errorf("channel %s: count, sum, up to 1 s and up to 30 s are %v, want %v", m.GetLabel()[0].GetValue(), got, want)
			}
		}
		problems, err := testutil.GatherAndLint(registry)
		if err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}

// TestLatencyIsShownOnceItIsDurable: a controller that dies would show less after it.
func TestLatencyIsShownOnceItIsDurable(t *testing.T) {
	r := newRunner()
	r.fleet.Looked(proto.SourceStatus{Channel: "main", Revision: revision(t, "1"), Found: time.Now()})
	r.deployAs(t, "1", "{}", fleetOf(t, "a"))
	r.saver.err = syscall.ENOSPC
	r.fleet.Apply(status(host(t, "web1"), 1, proto.PhaseCommitted), time.Now())
	if err := r.look(t); err == nil {
		t.Fatal("nobody minds a full disk")
	}
	if got := *r.latency.Load(); got != (rollout.Latency{}) {
		t.Errorf("shown before it was durable: %+v", got)
	}
	r.saver.err = nil
	r.mustLook(t)
	if got := *r.latency.Load(); got.Total() != 1 {
		t.Errorf("durable, and not shown: %+v", got)
	}
}

func TestRollbacksByReason(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := newMetrics(registry)
	for _, end := range []struct {
		verdict proto.Verdict
		why     proto.Reason
	}{
		{proto.VerdictRolledBack, proto.ReasonCheckFailed},
		{proto.VerdictRollbackFailed, "invented"},
		{proto.VerdictInconclusive, proto.ReasonNoContact},
		{proto.VerdictSucceeded, ""},
		{proto.VerdictFailed, proto.ReasonDiskFull},
	} {
		m.ended(end.verdict, end.why)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range families {
		for _, s := range family.GetMetric() {
			if family.GetName() == "kedge_controller_rollbacks_total" && s.GetCounter().GetValue() > 0 {
				got = append(got, s.GetLabel()[0].GetValue())
			}
		}
	}
	if want := "check-failed no-contact other"; strings.Join(got, " ") != want {
		t.Errorf("counted %q, want %s", got, want)
	}
}
