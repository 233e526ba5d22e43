package deployment_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

func TestDurations(t *testing.T) {
	began := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	d := deployment.Deployment{}
	for _, s := range []struct {
		phase proto.Phase
		after time.Duration
	}{
		{proto.PhaseAccepted, 0},
		{proto.PhaseFetched, 3 * time.Second},
		{proto.PhaseActivating, 4 * time.Second},
		{proto.PhaseProbation, 2 * time.Second}, // the clock was set back
		{proto.PhaseRollingBack, 12 * time.Second},
	} {
		d.History = append(d.History, deployment.Step{Phase: s.phase, Time: began.Add(s.after)})
	}
	want := map[proto.Phase]time.Duration{
		proto.PhaseAccepted: 3 * time.Second, proto.PhaseFetched: time.Second, proto.PhaseActivating: 0,
		proto.PhaseProbation: 10 * time.Second, proto.PhaseRollingBack: 8 * time.Second,
	}
	if diff := cmp.Diff(want, d.Durations(began.Add(20*time.Second))); diff != "" {
		t.Errorf("under way (-want +got):\n%s", diff)
	}
	d.History = append(d.History, deployment.Step{Phase: proto.PhaseRolledBack, Time: began.Add(13 * time.Second)})
	want[proto.PhaseRollingBack] = time.Second
	if diff := cmp.Diff(want, d.Durations(began.Add(time.Hour))); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

func TestWentBack(t *testing.T) {
	back := []deployment.Step{{Phase: proto.PhaseProbation}, {Phase: proto.PhaseRollingBack, Reason: proto.ReasonCheckFailed}}
	for _, tt := range []struct {
		phase   proto.Phase
		history []deployment.Step
		want    proto.Reason
		ended   bool
	}{
		{proto.PhaseRolledBack, back, proto.ReasonCheckFailed, true},
		{proto.PhaseRollbackFailed, back, proto.ReasonCheckFailed, true},
		{proto.PhaseInconclusive, nil, proto.ReasonPowerLoss, true}, // by a boot
		{proto.PhaseRollingBack, back, "", false},
		{proto.PhaseCommitted, nil, "", false},
	} {
		d := deployment.Deployment{Phase: tt.phase, Reason: proto.ReasonPowerLoss, History: tt.history}
		if why, ended := d.WentBack(); why != tt.want || ended != tt.ended {
			t.Errorf("%s: %q, %t; want %q, %t", tt.phase, why, ended, tt.want, tt.ended)
		}
	}
}
