package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/proto"
)

func TestMetrics(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	f := NewFleet(func() time.Time { return now })
	web1, web2, web3 := host(t, "web1"), host(t, "web2"), host(t, "web3")
	a := storePath(t, "a")
	f.Want(web1, proto.Target{Serial: 1, Toplevel: a})
	s := status(web1, 1, proto.PhaseCommitted)
	s.Systems = proto.Systems{Current: a, Proven: a}
	s.Conditions = []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusTrue}}
	f.Apply(s, now)
	f.Apply(status(web2, 1, proto.PhaseRolledBack), now)
	f.Trouble(web3, &proto.Problem{Reason: proto.ReasonBuildFailed})
	f.Looked(proto.SourceStatus{Channel: "main", Revision: revision(t, "a"), Checked: now, Error: "there is no flake.nix", Reason: proto.ReasonNoFlake})

	registry := prometheus.NewPedanticRegistry()
	m := newMetrics(registry, "main")
	registry.MustRegister(newFleetCollector(f, func() time.Time { return now }, func() int { return 1 }, func() bool { return true }))

	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	want := `
# HELP kedge_controller_hosts_problem Hosts that the newest revision did not reach, by reason.
# TYPE kedge_controller_hosts_problem gauge
kedge_controller_hosts_problem{reason="aborted"} 0
kedge_controller_hosts_problem{reason="build-failed"} 1
kedge_controller_hosts_problem{reason="disk-full"} 0
kedge_controller_hosts_problem{reason="eval-failed"} 0
kedge_controller_hosts_problem{reason="gone"} 0
kedge_controller_hosts_problem{reason="halted"} 0
kedge_controller_hosts_problem{reason="no-builder"} 0
kedge_controller_hosts_problem{reason="not-a-toplevel"} 0
kedge_controller_hosts_problem{reason="not-in-revision"} 0
kedge_controller_hosts_problem{reason="paused"} 0
kedge_controller_hosts_problem{reason="retrying"} 0
kedge_controller_hosts_problem{reason="reverted"} 0
kedge_controller_hosts_problem{reason="two-channels"} 0
kedge_controller_hosts_problem{reason="withdrawn"} 0
# HELP kedge_controller_hosts_ready Hosts that run what was published for them, proven.
# TYPE kedge_controller_hosts_ready gauge
kedge_controller_hosts_ready 1
# HELP kedge_controller_hosts_silent Hosts that were not heard of for three heartbeats.
# TYPE kedge_controller_hosts_silent gauge
kedge_controller_hosts_silent 0
# HELP kedge_controller_source_healthy 1 if the source of a channel could be looked at and its newest revision was published whole.
# TYPE kedge_controller_source_healthy gauge
kedge_controller_source_healthy{channel="main"} 0
# HELP kedge_controller_source_problem 1 for the reason why the source of a channel could not be looked at, or its newest revision was not published whole; 0 for the others.
# TYPE kedge_controller_source_problem gauge
kedge_controller_source_problem{channel="main",reason="bad-host-name"} 0
kedge_controller_source_problem{channel="main",reason="bad-spec"} 0
kedge_controller_source_problem{channel="main",reason="build-failed"} 0
kedge_controller_source_problem{channel="main",reason="builder-unreachable"} 0
kedge_controller_source_problem{channel="main",reason="disk-full"} 0
kedge_controller_source_problem{channel="main",reason="eval-failed"} 0
kedge_controller_source_problem{channel="main",reason="force-pushed"} 0
kedge_controller_source_problem{channel="main",reason="no-branch"} 0
kedge_controller_source_problem{channel="main",reason="no-builder"} 0
kedge_controller_source_problem{channel="main",reason="no-configurations"} 0
kedge_controller_source_problem{channel="main",reason="no-flake"} 1
kedge_controller_source_problem{channel="main",reason="no-submodule"} 0
kedge_controller_source_problem{channel="main",reason="not-a-toplevel"} 0
kedge_controller_source_problem{channel="main",reason="retrying"} 0
kedge_controller_source_problem{channel="main",reason="source-unreachable"} 0
kedge_controller_source_problem{channel="main",reason="two-channels"} 0
kedge_controller_source_problem{channel="main",reason="unsigned"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "kedge_controller_hosts_problem",
		"kedge_controller_hosts_ready", "kedge_controller_hosts_silent", "kedge_controller_source_healthy", "kedge_controller_source_problem"); err != nil {
		t.Error(err)
	}
	phases, err := testutil.GatherAndCount(registry, "kedge_controller_hosts")
	if err != nil || phases != len(proto.Phases())+1 {
		t.Errorf("%d phases are shown (%v), want all %d and none", phases, err, len(proto.Phases()))
	}
	for _, name := range []string{
		"kedge_controller_revisions_total", "kedge_controller_builds_total", "kedge_controller_api_requests_total",
		"kedge_controller_deployments_total", "kedge_controller_stage_duration_seconds",
		"kedge_controller_reboot_lease_requests_total", "kedge_controller_force_pushes_total",
	} {
		if n, err := testutil.GatherAndCount(registry, name); err != nil || n == 0 {
			t.Errorf("%s: %d series before anything happened (%v)", name, n, err)
		}
	}

	now2 := now
	watch := m.watch(now, func() time.Time { now2 = now2.Add(time.Second); return now2 })
	watch.lap(stageBuild)
	if got := watch.LogValue().String(); got != "[build=1s]" {
		t.Errorf("stopwatch logs as %q", got)
	}
}

// TestWhoIsRevokedIsCountedNoMore is about a host that went in the worst of states, and
// is back with new credentials.
func TestWhoIsRevokedIsCountedNoMore(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	f := NewFleet(func() time.Time { return now })
	gone := host(t, "gone")
	f.Enrolled(gone, proto.HostKey{PublicKey: "U1"})
	f.Apply(status(gone, 8, proto.PhaseRollbackFailed), now)
	f.Trouble(gone, &proto.Problem{Reason: proto.ReasonNotInRevision})
	now = now.Add(24 * time.Hour)
	f.Sweep()

	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newHostCollector(f, 9), newFleetCollector(f, func() time.Time { return now }, func() int { return 0 }, func() bool { return true }))
	failed := map[string]string{"phase": "rollback-failed"}
	missed := map[string]string{"reason": "not-in-revision"}
	for _, step := range []struct {
		name string
		key  proto.HostKey
		want float64
	}{
		{"silent", proto.HostKey{PublicKey: "U1"}, 1},
		{"revoked", proto.HostKey{PublicKey: "U1", Revoked: now}, 0},
		{"enrolled anew", proto.HostKey{PublicKey: "U2", Enrolled: now}, 1},
	} {
		f.Enrolled(gone, step.key)
		for name, labels := range map[string]map[string]string{
			"hosts": failed, "hosts_silent": nil, "hosts_problem": missed, "host_silent": nil, "host_deployment_info": failed,
		} {
			if got := sum(t, registry, "kedge_controller_"+name, labels); got != step.want {
				t.Errorf("%s: %s %v is %v, want %v", step.name, name, labels, got, step.want)
			}
		}
	}
}

// sum returns the sum of a metric's series that have these labels, among others.
func sum(t *testing.T, from prometheus.Gatherer, name string, labels map[string]string) (total float64) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			has := 0
			for _, l := range m.GetLabel() {
				if want, asked := labels[l.GetName()]; asked && want == l.GetValue() {
					has++
				}
			}
			if has == len(labels) {
				total += m.GetGauge().GetValue()
			}
		}
	}
	return total
}
