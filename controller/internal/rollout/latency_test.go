package rollout_test

import (
	"testing"
	"time"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

func TestLatencyCountsEachArrivalOnce(t *testing.T) {
	web1, seen := host(t, "web1"), start.Add(-time.Minute)
	settled := func(r rollout.Rollout, v proto.Verdict, after time.Duration) rollout.Rollout {
		t.Helper()
		next, err := r.Apply([]rollout.Result{{Action: rollout.Action{Kind: rollout.Settle, Host: web1, Verdict: v}}}, start.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	published := func(d rollout.Draft) rollout.Rollout {
		t.Helper()
		r, err := rollout.Plan(d)
		if err != nil {
			t.Fatal(err)
		}
		r, err = r.Apply([]rollout.Result{
			{Action: rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{web1}}},
			{Action: rollout.Action{Kind: rollout.Publish, Host: web1, Before: r.Hosts[web1].Before}, Serial: 7},
		}, start)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	now := rollout.Host{Toplevel: system(t, web1, "old"), Serial: 3, Reported: 3, Verdict: proto.VerdictSucceeded, Seen: start}
	draft := rollout.Draft{
		ID: "1", Created: start, Seen: seen, Targets: []rollout.Target{{Host: web1, Toplevel: system(t, web1, "new")}},
		Fleet: rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{web1: now}},
	}

	r := published(draft)
	if r = settled(r, proto.VerdictInconclusive, time.Second); r.Latency.Total() != 0 {
		t.Errorf("a host that went back counts: %+v", r.Latency)
	}
	r = settled(settled(r, proto.VerdictSucceeded, 20*time.Second), proto.VerdictSucceeded, time.Hour)
	if got := r.Latency; got.Total() != 1 || got.Sum != 80 || got.Counts[6] != 1 { // up to 120 s
		t.Errorf("after 80 s: %+v", got)
	}

	again := draft // with the host as it is now, and what was counted
	again.ID, again.Previous = "2", r
	now.Toplevel, now.Serial, now.Reported = system(t, web1, "new"), 7, 7
	again.Fleet = rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{web1: now}}
	if got := settled(published(again), proto.VerdictSucceeded, time.Minute).Latency; got != r.Latency {
		t.Errorf("who had it already counts: %+v", got)
	}
	again.Targets[0].Toplevel = system(t, web1, "newer")
	again.Seen = time.Time{}
	if got := settled(published(again), proto.VerdictSucceeded, time.Minute).Latency; got != r.Latency {
		t.Errorf("what nobody pushed counts: %+v", got)
	}
	again.Seen = seen
	if got := settled(published(again), proto.VerdictSucceeded, 30*24*time.Hour).Latency; got.Total() != 2 || got.Counts[13] != 1 {
		t.Errorf("a month later: %+v", got)
	}
	reverting, err := settled(published(again), proto.VerdictSucceeded, time.Second).Revert(rollout.Act{At: start})
	if err != nil {
		t.Fatal(err)
	}
	back, err := reverting.Apply([]rollout.Result{
		{Action: rollout.Action{Kind: rollout.StartWave, Wave: reverting.Wave, Hosts: []proto.HostName{web1}}},
		{Action: rollout.Action{Kind: rollout.Publish, Wave: reverting.Wave, Host: web1}, Serial: 9},
		{Action: rollout.Action{Kind: rollout.Settle, Wave: reverting.Wave, Host: web1, Verdict: proto.VerdictSucceeded}},
	}, start.Add(time.Minute))
	if err != nil || back.Latency != reverting.Latency {
		t.Errorf("the way back counts: %+v, %v", back.Latency, err)
	}
}
