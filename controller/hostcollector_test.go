package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/proto"
)

func TestHostMetrics(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	f := NewFleet(func() time.Time { return now })
	a := storePath(t, "a")
	good := status(host(t, "web1"), 7, proto.PhaseCommitted)
	good.Agent = strings.Repeat("1.2.3", 100)
	good.Systems = proto.Systems{Current: a, Profile: a, Proven: a, Generation: 3}
	good.Conditions = []proto.Condition{
		{Type: proto.ConditionReady, Status: proto.StatusTrue},
		{Type: proto.ConditionSuspended, Status: proto.StatusFalse},
		{Type: proto.ConditionDrifted, Status: proto.StatusUnknown},
		{Type: "Invented", Status: proto.StatusTrue},
		{Type: proto.ConditionAccepted, Status: proto.StatusTrue},
	}
	f.Want(host(t, "web1"), proto.Target{Serial: 7, Toplevel: a})
	f.Apply(good, now)
	bad := status(host(t, "web2"), 8, proto.PhaseRolledBack)
	bad.Deployment.Reason, bad.Deployment.Since = "invented", now
	bad.Conditions = []proto.Condition{{Type: proto.ConditionAccepted, Status: proto.StatusFalse, Reason: proto.ReasonFreeze}}
	f.Apply(bad, now)
	f.Trouble(host(t, "web3"), &proto.Problem{Reason: proto.ReasonBuildFailed})
	f.Trouble(host(t, "web4"), &proto.Problem{Reason: proto.ReasonBuildFailed})

	f.Apply(status(host(t, "gone"), 8, proto.PhaseRollbackFailed), now)
	f.Enrolled(host(t, "gone"), proto.HostKey{Revoked: now})

	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newHostCollector(f, 3))
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP kedge_controller_host_accepted_serial Serial of the newest assignment that a host accepted; 0 for none.
# TYPE kedge_controller_host_accepted_serial gauge
kedge_controller_host_accepted_serial{host="web1"} 7
kedge_controller_host_accepted_serial{host="web2"} 8
kedge_controller_host_accepted_serial{host="web3"} 0
# HELP kedge_controller_host_condition 1 if a condition of a host is true, 0 if it is false; nothing if that is not known.
# TYPE kedge_controller_host_condition gauge
kedge_controller_host_condition{host="web1",type="Accepted"} 1
kedge_controller_host_condition{host="web1",type="Ready"} 1
kedge_controller_host_condition{host="web1",type="Suspended"} 0
kedge_controller_host_condition{host="web2",type="Accepted"} 0
# HELP kedge_controller_host_deployment_info The phase of a host's current or last deployment, what it came to, and why; always 1.
# TYPE kedge_controller_host_deployment_info gauge
kedge_controller_host_deployment_info{host="web1",phase="committed",reason="",verdict="succeeded"} 1
kedge_controller_host_deployment_info{host="web2",phase="rolled-back",reason="other",verdict="rolled-back"} 1
# HELP kedge_controller_host_deployment_phase_start_timestamp_seconds When a host's deployment entered its phase; 0 for never.
# TYPE kedge_controller_host_deployment_phase_start_timestamp_seconds gauge
kedge_controller_host_deployment_phase_start_timestamp_seconds{host="web1"} 0
kedge_controller_host_deployment_phase_start_timestamp_seconds{host="web2"} 1.7953416e+09
# HELP kedge_controller_host_info The version of a host's agent, and the revision and the generation that it proved last; always 1.
# TYPE kedge_controller_host_info gauge
kedge_controller_host_info{agent="",generation="-",host="web2",revision=""} 1
kedge_controller_host_info{agent="`+good.Agent[:64]+`",generation="3",host="web1",revision=""} 1
# HELP kedge_controller_host_last_seen_timestamp_seconds When a host was last heard of; 0 for never.
# TYPE kedge_controller_host_last_seen_timestamp_seconds gauge
kedge_controller_host_last_seen_timestamp_seconds{host="web1"} 1.7953416e+09
kedge_controller_host_last_seen_timestamp_seconds{host="web2"} 1.7953416e+09
kedge_controller_host_last_seen_timestamp_seconds{host="web3"} 0
# HELP kedge_controller_host_problem_info Why the newest revision did not reach a host; always 1, and nothing if it did.
# TYPE kedge_controller_host_problem_info gauge
kedge_controller_host_problem_info{host="web3",reason="build-failed"} 1
# HELP kedge_controller_host_published_serial Serial of the newest assignment that was published for a host; 0 for none.
# TYPE kedge_controller_host_published_serial gauge
kedge_controller_host_published_serial{host="web1"} 7
kedge_controller_host_published_serial{host="web2"} 0
kedge_controller_host_published_serial{host="web3"} 0
# HELP kedge_controller_host_ready Whether a host runs what was published for it, proven.
# TYPE kedge_controller_host_ready gauge
kedge_controller_host_ready{host="web1"} 1
kedge_controller_host_ready{host="web2"} 0
kedge_controller_host_ready{host="web3"} 0
# HELP kedge_controller_host_refused_info Why a host refuses what is published for it; always 1, and nothing if it does not.
# TYPE kedge_controller_host_refused_info gauge
kedge_controller_host_refused_info{host="web2",reason="freeze"} 1
# HELP kedge_controller_host_silent Whether a host was not heard of for three heartbeats.
# TYPE kedge_controller_host_silent gauge
kedge_controller_host_silent{host="web1"} 0
kedge_controller_host_silent{host="web2"} 0
kedge_controller_host_silent{host="web3"} 0
# HELP kedge_controller_host_system_info The toplevels of a host: what it shall run, runs, booted, has in its profile, and proved last; always 1.
# TYPE kedge_controller_host_system_info gauge
kedge_controller_host_system_info{host="web1",system="booted",toplevel=""} 1
kedge_controller_host_system_info{host="web1",system="current",toplevel="`+a.String()+`"} 1
kedge_controller_host_system_info{host="web1",system="desired",toplevel="`+a.String()+`"} 1
kedge_controller_host_system_info{host="web1",system="profile",toplevel="`+a.String()+`"} 1
kedge_controller_host_system_info{host="web1",system="proven",toplevel="`+a.String()+`"} 1
kedge_controller_host_system_info{host="web2",system="booted",toplevel=""} 1
kedge_controller_host_system_info{host="web2",system="current",toplevel=""} 1
kedge_controller_host_system_info{host="web2",system="profile",toplevel=""} 1
kedge_controller_host_system_info{host="web2",system="proven",toplevel=""} 1
# HELP kedge_controller_hosts_omitted Hosts without series of their own, because there are more than metrics.hosts.
# TYPE kedge_controller_hosts_omitted gauge
kedge_controller_hosts_omitted 1
`)); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	none := prometheus.NewPedanticRegistry()
	none.MustRegister(newHostCollector(f, 0))
	if n, err := testutil.GatherAndCount(none); err != nil || n != 1 {
		t.Errorf("%d series where none are wanted (%v), want how many hosts there are alone", n, err)
	}
}

// TestAHostMaySayAnythingOfItsVersion cuts it in the middle of a character, which
// Prometheus takes for no label at all.
func TestAHostMaySayAnythingOfItsVersion(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	f := NewFleet(func() time.Time { return now })
	odd := status(host(t, "web1"), 7, proto.PhaseCommitted)
	odd.Agent = strings.Repeat("1", 63) + "é\xff"
	f.Apply(odd, now)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newHostCollector(f, 1))
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}
