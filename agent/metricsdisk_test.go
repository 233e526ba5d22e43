package agent_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

func TestMetricsOfWhatIsOnDisk(t *testing.T) {
	w := newWorld(t)
	began := time.Now().Add(-time.Hour)
	d := deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseRolledBack, Reason: proto.ReasonUnitsFailed}
	for i, p := range []proto.Phase{proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseActivating, proto.PhaseRollingBack, proto.PhaseRolledBack} {
		d.History = append(d.History, deployment.Step{Phase: p, Time: began.Add(time.Duration(i*i) * time.Second), Reason: map[bool]proto.Reason{
			true: proto.ReasonUnitsFailed,
		}[p == proto.PhaseRollingBack]})
	}
	d.Started = began
	w.record(d)
	w.must(w.files.Quarantine(pathB, proto.ReasonUnitsFailed, time.Now()))
	w.issued = time.Now().Truncate(time.Second)
	w.assign(8, pathA)
	w.start()
	w.awaitStatus("the assignment", func(s proto.Status) bool { return s.Serial == 8 && s.Deployment.ID == "7-x" })
	w.await("the end to be reported", func() bool { return len(w.events) > len(d.History) })

	for text, name := range map[string]string{
		`kedge_agent_phase_duration_seconds{phase="accepted"} 1
		kedge_agent_phase_duration_seconds{phase="activating"} 5
		kedge_agent_phase_duration_seconds{phase="armed"} 0
		kedge_agent_phase_duration_seconds{phase="committing"} 0
		kedge_agent_phase_duration_seconds{phase="fetched"} 3
		kedge_agent_phase_duration_seconds{phase="probation"} 0
		kedge_agent_phase_duration_seconds{phase="rolling-back"} 7
		kedge_agent_phase_duration_seconds{phase="staged"} 0
		kedge_agent_phase_duration_seconds{phase="staging"} 0`: "gauge How long the current or the last deployment was in each phase, until now; 0 for those that it was not in.",
		`kedge_agent_quarantined 1`:                    "gauge Toplevels that are not tried again on this host for now.",
		`kedge_agent_generation 1`:                     "gauge Number of the generation that the system profile names; 0 for none.",
		`kedge_agent_fetched_bytes_total 9.437184e+06`: "counter Size in the store of what fetches brought, as far as the list of what was missing was known.",
		`kedge_agent_filesystem_free_bytes{mountpoint="/boot",use="boot"} 6.291456e+07
		kedge_agent_filesystem_free_bytes{mountpoint="/nix/store",use="store"} 3.221225472e+09`: "gauge Bytes that are free on a file system that deployments write to.",
		`kedge_agent_filesystem_free_inodes{mountpoint="/nix/store",use="store"} 5000`: "gauge Inodes that are free there; none where it makes them as it needs them.",
	} {
		kind, help, _ := strings.Cut(name, " ")
		metric := text[:strings.IndexAny(text, "{ ")]
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader("# HELP "+metric+" "+help+"\n# TYPE "+metric+" "+kind+"\n"+text+"\n"), metric); err != nil {
			t.Error(err)
		}
	}
	if got, want := w.gauge("kedge_agent_assignment_expiry_timestamp_seconds"), float64(w.issued.Add(time.Hour).Unix()); got != want {
		t.Errorf("the assignment expires at %f, want %f", got, want)
	}
	if got, want := w.gauge("kedge_agent_deployment_start_timestamp_seconds"), float64(began.UnixNano())/1e9; math.Abs(got-want) > 1 {
		t.Errorf("the deployment began at %f, want %f", got, want)
	}
	proven, err := w.files.Proven()
	w.must(err)
	if got, want := w.gauge("kedge_agent_proven_timestamp_seconds"), float64(proven.Since.UnixNano())/1e9; math.Abs(got-want) > 1 || want == 0 {
		t.Errorf("what is proven was adopted at %f, want %f", got, want)
	}
	if got := w.labelled("kedge_agent_rollbacks_total", string(proto.ReasonUnitsFailed)); got != 1 {
		t.Errorf("%v rollbacks because of units, want 1", got)
	}
	if got := w.labelled("kedge_agent_system_info", "desired", pathA.String()); got != 1 {
		t.Errorf("%v is desired, want %s", got, pathA)
	}
}

// labelled returns the value of a metric with exactly these values of labels.
func (w *world) labelled(name string, values ...string) float64 {
	w.t.Helper()
	all, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range all {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetValue())
			}
			if strings.Join(got, "\n") == strings.Join(values, "\n") {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	w.t.Fatalf("there is no metric %s of %q", name, values)
	return 0
}

func (w *world) Brought() uint64 { return 9 << 20 }

func (w *world) Look() []closure.Space {
	return []closure.Space{
		{Use: closure.SpaceStore, Dir: "/nix/store", Volume: closure.Volume{Free: 3 << 30, Size: 9 << 30, Inodes: 5000, Files: 9000}},
		{Use: closure.SpaceBoot, Dir: "/boot", Volume: closure.Volume{Free: 60 << 20, Size: 500 << 20}},
	}
}
