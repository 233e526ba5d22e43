package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/proto"
)

func TestRolloutMetrics(t *testing.T) {
	began := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	f := NewFleet(func() time.Time { return began })
	f.Rolled(proto.RolloutShowReply{
		Rollout: proto.RolloutView{
			Channel: "main", State: proto.RolloutHalted, Created: began, Since: began.Add(time.Minute), Wave: 1,
			Waves: []proto.RolloutWave{{Name: "first", Hosts: 2, Succeeded: 2}, {Name: "web", Hosts: 4, Waiting: 1, Silent: 1, Failed: 2}},
		},
		Hosts: []proto.RolloutHost{
			{Host: host(t, "web1"), Since: began.Add(2 * time.Minute)},
			{Host: host(t, "web2"), Since: began, Waits: &proto.RolloutWait{For: proto.ReasonHalted}},
		},
	})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newRolloutCollector(f.Rollouts, func() int { return 3 }))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	want := `
# HELP kedge_controller_rollout_halted 1 if a channel's rollout halted itself, and waits for a person.
# TYPE kedge_controller_rollout_halted gauge
kedge_controller_rollout_halted{channel="main"} 1
# HELP kedge_controller_rollout_hosts Hosts of a channel's rollout, by what came of it.
# TYPE kedge_controller_rollout_hosts gauge
kedge_controller_rollout_hosts{channel="main",state="deferred"} 0
kedge_controller_rollout_hosts{channel="main",state="failed"} 2
kedge_controller_rollout_hosts{channel="main",state="offline"} 0
kedge_controller_rollout_hosts{channel="main",state="overtaken"} 0
kedge_controller_rollout_hosts{channel="main",state="published"} 0
kedge_controller_rollout_hosts{channel="main",state="silent"} 1
kedge_controller_rollout_hosts{channel="main",state="succeeded"} 2
kedge_controller_rollout_hosts{channel="main",state="waiting"} 1
# HELP kedge_controller_rollout_hosts_held Hosts that people hold: they get nothing new.
# TYPE kedge_controller_rollout_hosts_held gauge
kedge_controller_rollout_hosts_held 3
# HELP kedge_controller_rollout_last_change_timestamp_seconds When a host or a wave of a channel's rollout last came further.
# TYPE kedge_controller_rollout_last_change_timestamp_seconds gauge
kedge_controller_rollout_last_change_timestamp_seconds{channel="main"} 1.79568732e+09
# HELP kedge_controller_rollout_wave Which wave a channel's rollout is in, from 1; one more than there are after the last.
# TYPE kedge_controller_rollout_wave gauge
kedge_controller_rollout_wave{channel="main"} 2
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "kedge_controller_rollout_halted", "kedge_controller_rollout_hosts",
		"kedge_controller_rollout_hosts_held", "kedge_controller_rollout_last_change_timestamp_seconds", "kedge_controller_rollout_wave"); err != nil {
		t.Error(err)
	}
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		sum, series := 0.0, len(family.GetMetric())
		for _, m := range family.GetMetric() {
			sum += m.GetGauge().GetValue()
		}
		switch family.GetName() {
		case "kedge_controller_rollout_state":
			if sum != 1 || series != len(proto.RolloutStates()) {
				t.Errorf("%d states, of which %v are true; want all, and one", series, sum)
			}
		case "kedge_controller_rollout_hosts_waiting":
			if sum != 1 || series != len(waitReasons()) {
				t.Errorf("%d reasons with %v hosts, want all, with one host", series, sum)
			}
		}
	}
}
