package controller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

const webFirst = `{"rollout": {"waves": [{"name": "web", "hosts": "web1"}], "budget": {"failed": 0}}}`

// awaitRollout waits until the rollout of a channel is as ok says.
func (c *controllerTest) awaitRollout(t *testing.T, what string, ok func(proto.RolloutShowReply) bool) proto.RolloutShowReply {
	t.Helper()
	var last proto.RolloutShowReply
	if err := c.AwaitRollout(t.Context(), func(r proto.RolloutShowReply) bool { last = r; return ok(r) }); err != nil {
		t.Fatalf("await %s: %v", what, err)
	}
	return last
}

func inState(id string, s proto.RolloutState) func(proto.RolloutShowReply) bool {
	return func(r proto.RolloutShowReply) bool { return (id == "" || r.Rollout.ID == id) && r.Rollout.State == s }
}

func (c *controllerTest) act(t *testing.T, req proto.RolloutActRequest) (proto.RolloutActReply, error) {
	t.Helper()
	return bus.Call[proto.RolloutActRequest, proto.RolloutActReply](t.Context(), c.conn, proto.EndpointRolloutAct, req)
}

// acts returns what the audit says that the admin did about rollouts.
func (c *controllerTest) acts(t *testing.T) (acts []string) {
	t.Helper()
	trail, err := bus.Call[proto.AuditRequest, proto.AuditReply](t.Context(), c.conn, proto.EndpointAudit, proto.AuditRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range trail.Entries {
		if e.Entry.Actor == "admin" && strings.HasPrefix(string(e.Entry.Act), "rollout-") {
			acts = append(acts, string(e.Entry.Act)+" "+e.Entry.Host.String()+" "+e.Entry.Message)
		}
	}
	return acts
}

// agent runs a host that ends every deployment in a phase, until the test ends.
func (c *controllerTest) agent(t *testing.T, name string, phase proto.Phase) {
	t.Helper()
	a := controllertest.Agent{
		Host: hostName(t, name), Server: c.NATSURL(), Credentials: c.credentials(t, name), Trust: c.Trust(), Phase: phase,
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }() // waited for below
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, bus.ErrClosed) {
			t.Logf("agent %s: %v", name, err)
		}
	})
}

// TestRolloutActs: a rollout is watched and steered by calls, over a restart, and what
// people did is in the audit.
func TestRolloutActs(t *testing.T) {
	c := start(t)
	web1, web2 := hostName(t, "web1"), hostName(t, "web2")
	if _, err := c.act(t, proto.RolloutActRequest{Act: proto.RolloutActPause}); code(err) != bus.CodeNotFound {
		t.Errorf("before the first: error = %v", err)
	}
	c.agent(t, "web1", proto.PhaseCommitted)
	c.agent(t, "web2", proto.PhaseCommitted)
	both := func(name string) map[proto.HostName]proto.StorePath {
		return map[proto.HostName]proto.StorePath{web1: toplevel(t, name), web2: toplevel(t, name)}
	}
	one := c.world.Push(controllertest.Flake{Toplevels: both("one")})
	c.await(t, "the first revision", wants(web2, 1, toplevel(t, "one")))
	first := c.awaitRollout(t, "the first to end", inState("", proto.RolloutDone)).Rollout

	if _, err := c.act(t, proto.RolloutActRequest{Act: proto.RolloutActHold, Hosts: []proto.HostName{web2}, Reason: "being debugged"}); err != nil {
		t.Fatal(err)
	}
	c.world.Push(controllertest.Flake{Toplevels: both("two"), Kedge: webFirst})
	c.await(t, "the second revision", wants(web1, 2, toplevel(t, "two")))
	second := c.awaitRollout(t, "the second to end without web2", func(r proto.RolloutShowReply) bool {
		return r.Rollout.ID != first.ID && r.Rollout.State == proto.RolloutDone
	})
	held := second.Hosts[slices.IndexFunc(second.Hosts, func(h proto.RolloutHost) bool { return h.Host == web2 })]
	if held.State != proto.RolloutHostWaiting || held.Waits == nil {
		t.Errorf("web2 = %+v, want it waiting", held)
	}

	c.stop(t)
	c.start(t)
	plan, err := bus.Call[proto.RolloutPlanRequest, proto.RolloutPlanReply](t.Context(), c.conn, proto.EndpointRolloutPlan, proto.RolloutPlanRequest{})
	if err != nil || plan.Rollout.ID != second.Rollout.ID || len(plan.Hosts) != 1 || len(plan.Holds) != 1 || plan.Holds[0].By != "admin" {
		t.Errorf("after a restart: plan = %+v, %v; want web2, held by admin", plan, err)
	}
	list, err := bus.Call[proto.RolloutListRequest, proto.RolloutListReply](t.Context(), c.conn, proto.EndpointRolloutList, proto.RolloutListRequest{})
	if err != nil || len(list.Rollouts) != 2 || list.Rollouts[1].ID != first.ID {
		t.Errorf("list = %+v, %v; want both, the first at last", list, err)
	}
	if _, err := c.act(t, proto.RolloutActRequest{Act: proto.RolloutActRevert, Rollout: first.ID}); code(err) != bus.CodeRefused {
		t.Errorf("revert of what has ended: error = %v", err)
	}

	back, err := c.act(t, proto.RolloutActRequest{Act: proto.RolloutActRevert, To: one.String(), Reason: "it is slow"})
	if err != nil || back.Rollout.Revision != one || back.Rollout.By != "admin" {
		t.Fatalf("revert: %+v, %v", back.Rollout, err)
	}
	r := c.await(t, "web1 back", wants(web1, 3, toplevel(t, "one")))
	if got := hostIn(r, web1).Want.Revision; got != one {
		t.Errorf("web1 is to run revision %s, want %s: it is what it was", got, one)
	}
	acts := c.acts(t)
	if want := []string{"rollout-hold web2 being debugged", "rollout-revert  " + second.Rollout.ID + " to " + one.String() + ": it is slow"}; !slices.Equal(acts, want) {
		t.Errorf("audit = %q, want %q", acts, want)
	}
}

// TestWhatIsGivenBackCanBeFetched: hosts go back to a revision so old that neither they
// nor the cache have what it gave them, but only the controller's store.
func TestWhatIsGivenBackCanBeFetched(t *testing.T) {
	const others = 10 // more than is remembered of a host
	c := start(t)
	web1, first := hostName(t, "web1"), toplevel(t, "first")
	rev := c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: first}))
	c.await(t, "the first revision", wants(web1, 1, first))
	for i := range others {
		next := toplevel(t, fmt.Sprint("other", i))
		c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: next}))
		c.await(t, "another one", wants(web1, proto.Serial(i+2), next))
	}
	c.world.Release(first)
	if _, err := c.act(t, proto.RolloutActRequest{Act: proto.RolloutActRevert, To: rev.String(), Reason: "it is slow"}); err != nil {
		t.Fatal(err)
	}
	c.await(t, "web1 back", wants(web1, others+2, first))
	if cached, rooted := c.world.Kept(first); !cached || !rooted {
		t.Errorf("what web1 is to run is in the cache: %t, rooted: %t; want both", cached, rooted)
	}
}

// TestRolloutCallsAreRefusedWithWhatToDo is about what nobody can mean.
func TestRolloutCallsAreRefusedWithWhatToDo(t *testing.T) {
	c := twoChannels(t)
	web1, one := hostName(t, "web1"), toplevel(t, "one")
	c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: one}))
	c.world.PushTo("testing", flake(map[proto.HostName]proto.StorePath{hostName(t, "test1"): one}))
	c.await(t, "web1", wants(web1, 1, one))
	long := strings.Repeat("x", proto.MaxActReason+1)
	for name, tt := range map[string]struct {
		req  proto.RolloutActRequest
		code bus.Code
		says string
	}{
		"no channel, of two":         {proto.RolloutActRequest{Act: proto.RolloutActPause}, bus.CodeBadRequest, "main, testing"},
		"no such rollout":            {proto.RolloutActRequest{Act: proto.RolloutActPause, Rollout: "x"}, bus.CodeNotFound, "kedge rollout list"},
		"a hold of nobody":           {proto.RolloutActRequest{Act: proto.RolloutActHold, Reason: "so"}, bus.CodeBadRequest, "hosts"},
		"a hold without a reason":    {proto.RolloutActRequest{Act: proto.RolloutActHold, Hosts: []proto.HostName{web1}}, bus.CodeBadRequest, "reason"},
		"a hold of a stranger":       {proto.RolloutActRequest{Act: proto.RolloutActHold, Hosts: []proto.HostName{hostName(t, "web9")}, Reason: "so"}, bus.CodeNotFound, "kedge host list"},
		"a freeze of no channel":     {proto.RolloutActRequest{Act: proto.RolloutActFreeze, Rollout: "x", Reason: "so"}, bus.CodeNotFound, "channel"},
		"a release of a stranger":    {proto.RolloutActRequest{Act: proto.RolloutActRelease, Hosts: []proto.HostName{hostName(t, "web9")}}, bus.CodeNotFound, "kedge host list"},
		"a thaw of no channel":       {proto.RolloutActRequest{Act: proto.RolloutActThaw, Rollout: "x"}, bus.CodeNotFound, "channel"},
		"an early resume":            {proto.RolloutActRequest{Act: proto.RolloutActResume, Rollout: "main"}, bus.CodeRefused, "reverted"},
		"a pause that promotes":      {proto.RolloutActRequest{Act: proto.RolloutActPause, Rollout: "main", Promotes: &proto.RolloutPromotion{}}, bus.CodeBadRequest, "promotes: is for promote alone"},
		"a pause that goes back":     {proto.RolloutActRequest{Act: proto.RolloutActPause, Rollout: "main", To: "x"}, bus.CodeBadRequest, "to: is for revert alone"},
		"a pause for a long reason":  {proto.RolloutActRequest{Act: proto.RolloutActPause, Rollout: "main", Reason: long}, bus.CodeBadRequest, "reason: must have at most 1024 bytes"},
		"a freeze for a long reason": {proto.RolloutActRequest{Act: proto.RolloutActFreeze, Reason: long}, bus.CodeBadRequest, "reason: must have at most 1024 bytes"},
		"no act":                     {proto.RolloutActRequest{}, bus.CodeBadRequest, "act"},
	} {
		if _, err := c.act(t, tt.req); code(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error = %v, want %s that says %q", name, err, tt.code, tt.says)
		}
	}
}

// TestWhatIsNotHeldBackIsLetGoAlready: whoever releases or thaws once more, because the
// answer was lost, is not refused; unless somebody, or the flake, keeps it from going out.
func TestWhatIsNotHeldBackIsLetGoAlready(t *testing.T) {
	c := twoChannels(t)
	web1, web2, test1, one := hostName(t, "web1"), hostName(t, "web2"), hostName(t, "test1"), toplevel(t, "one")
	c.world.Push(controllertest.Flake{
		Toplevels: map[proto.HostName]proto.StorePath{web1: one, web2: one}, Kedge: `{"hosts": {"web2": {"hold": "it is old"}}}`,
	})
	c.world.PushTo("testing", flake(map[proto.HostName]proto.StorePath{test1: one}))
	c.await(t, "both channels", func(r proto.FleetReply) bool { return wants(web1, 1, one)(r) && wants(test1, 1, one)(r) })
	act := func(a proto.RolloutAct, channel string, hosts ...proto.HostName) proto.RolloutActRequest {
		return proto.RolloutActRequest{Act: a, Rollout: channel, Hosts: hosts, Reason: "so"}
	}
	release, thaw := proto.RolloutActRelease, proto.RolloutActThaw
	type step struct {
		name  string
		req   proto.RolloutActRequest
		again bool   // it is so already
		says  string // of a refusal
	}
	walk := func(steps ...step) {
		t.Helper()
		for _, s := range steps {
			reply, err := c.act(t, s.req)
			switch {
			case s.says != "" && (code(err) != bus.CodeRefused || !strings.Contains(err.Error(), s.says)):
				t.Errorf("%s: error = %v, want a refusal that says %q", s.name, err, s.says)
			case s.says == "" && (err != nil || reply.Again != s.again):
				t.Errorf("%s: %+v, %v; want that it was so already: %t", s.name, reply, err, s.again)
			}
		}
	}
	walk([]step{
		{name: "nobody is held", req: act(release, "", web1, test1), again: true},
		{name: "the flake holds it", req: act(release, "", web2), says: "kedge.hosts.NAME.hold"},
		{name: "web1 is held", req: act(proto.RolloutActHold, "", web1)},
		{name: "one of two is held", req: act(release, "", web1, test1), says: "not held by anybody: test1"},
		{name: "web1 is released", req: act(release, "", web1)},
		{name: "and again", req: act(release, "", web1), again: true},
		{name: "nothing is frozen", req: act(thaw, "main"), again: true},
		{name: "nothing at all is frozen", req: act(thaw, ""), again: true},
		{name: "all are frozen", req: act(proto.RolloutActFreeze, "")},
		{name: "one of all", req: act(thaw, "main"), says: "nothing of that is frozen"},
		{name: "main is frozen, too", req: act(proto.RolloutActFreeze, "main")},
		{name: "all are thawed", req: act(thaw, "")},
		{name: "main is not", req: act(thaw, ""), says: "nothing of that is frozen"},
		{name: "main is thawed", req: act(thaw, "main")},
		{name: "main again", req: act(thaw, "main"), again: true},
		{name: "all again", req: act(thaw, ""), again: true},
	}...)
	c.world.PushTo("testing", controllertest.Flake{
		Toplevels: map[proto.HostName]proto.StorePath{test1: toplevel(t, "two")}, Kedge: `{"rollout": {"freeze": "holidays"}}`,
	})
	c.await(t, "a freeze by the flake", func(r proto.FleetReply) bool {
		w := hostIn(r, test1).Waits
		return w != nil && w.For == proto.ReasonFrozen
	})
	walk(
		step{name: "the flake freezes it", req: act(thaw, "testing"), says: "kedge.rollout.freeze"},
		step{name: "the flake freezes one of them", req: act(thaw, ""), says: "kedge.rollout.freeze"},
		step{name: "the flake freezes another one", req: act(thaw, "main"), again: true},
	)
	want := []string{
		"rollout-hold web1 so", "rollout-release web1 so",
		"rollout-freeze  so", "rollout-freeze  channel main: so", "rollout-thaw  so", "rollout-thaw  channel main: so",
	}
	if acts := c.acts(t); !slices.Equal(acts, want) {
		t.Errorf("audit = %q, want %q", acts, want)
	}
}

// code returns the code of a refusal, empty if it is none.
func code(err error) bus.Code {
	if e, ok := errors.AsType[*bus.APIError](err); ok {
		return e.Code
	}
	return ""
}
