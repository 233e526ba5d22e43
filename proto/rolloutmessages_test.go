package proto_test

import (
	"testing"
	"time"

	"kedge/proto"
)

// rolloutView is a rollout that halted in its second wave.
func rolloutView(t testing.TB) proto.RolloutView {
	t.Helper()
	return proto.RolloutView{
		Left: 1, ID: "0123456-20260301T120000.000", Channel: "main", Revision: parsed(t, proto.ParseRevision, revisionText),
		State: proto.RolloutHalted, Why: "wave web: 1 failed, 0 may: web1", By: "ada", Since: issued.Add(time.Hour), Created: issued, Wave: 1,
		Waves: []proto.RolloutWave{
			{Name: "canary", Started: issued, Ended: issued.Add(time.Minute), Hosts: 1, Succeeded: 1},
			{Name: "web", Started: issued.Add(time.Minute), Hosts: 7, Waiting: 1, Published: 1, Offline: 1, Silent: 1, Succeeded: 1, Failed: 1, Overtaken: 1},
		},
	}
}

// rolloutCalls returns an example of every message about rollouts.
func rolloutCalls(t testing.TB) []message {
	t.Helper()
	web1 := host(t, "web1")
	view := rolloutView(t)
	soaking := view
	soaking.State, soaking.Promotes = proto.RolloutRunning, proto.RolloutPromotion{Wave: 1, Ends: proto.RolloutPauseSoak}
	hosts := []proto.RolloutHost{
		{Host: web1, Wave: "web", State: proto.RolloutHostSettled, Toplevel: toplevel(t), Serial: 7, Verdict: proto.VerdictRolledBack, Since: issued, Before: parsed(t, proto.ParseStorePath, otherText)},
		{Host: host(t, "web2"), State: proto.RolloutHostWaiting, Toplevel: toplevel(t), Since: issued, Waits: &proto.RolloutWait{
			For: proto.ReasonSoaking, Message: "wave canary soaks", Until: issued.Add(time.Hour),
		}},
	}
	holds := []proto.RolloutHold{
		{Host: web1, Reason: "being debugged", By: "ada", Since: issued},
		{Channel: "main", Reason: "holidays", By: "eva", Since: issued},
	}
	return []message{
		call("rollout-list-request", proto.RolloutListRequest{Channel: "main"}),
		call("rollout-list-reply", proto.RolloutListReply{Rollouts: []proto.RolloutView{view}, Holds: holds}),
		call("rollout-show-request", proto.RolloutShowRequest{Rollout: view.ID, After: 41, Wait: time.Second, Limit: 100, Continue: hosts[0].Host}),
		call("rollout-show-reply", proto.RolloutShowReply{Version: 42, Rollout: soaking, Hosts: hosts, Continue: hosts[0].Host}),
		call("rollout-plan-request", proto.RolloutPlanRequest{Rollout: "main", Limit: 100, Continue: hosts[0].Host}),
		call("rollout-plan-reply", proto.RolloutPlanReply{Rollout: view, Hosts: hosts[1:], Continue: hosts[0].Host, Holds: holds}),
		call("rollout-act-request", proto.RolloutActRequest{Act: proto.RolloutActRevert, Rollout: "main", Reason: "it is slow", To: "89abcdef"}),
		call("rollout-act-request.hold", proto.RolloutActRequest{Act: proto.RolloutActHold, Hosts: []proto.HostName{web1}, Reason: "being debugged"}),
		call("rollout-act-request.promote", proto.RolloutActRequest{
			Act: proto.RolloutActPromote, Rollout: view.ID, Promotes: &proto.RolloutPromotion{Wave: 1, Ends: proto.RolloutPauseCanarySoak},
		}),
		call("rollout-act-reply", proto.RolloutActReply{Rollout: &view, Holds: holds}),
	}
}
