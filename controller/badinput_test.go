package controller_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

// TestWhatNoPageAndNoCallCanBeIsRefused: whoever asks for something is not given less.
func TestWhatNoPageAndNoCallCanBeIsRefused(t *testing.T) {
	c := start(t)
	ask := func(e proto.Endpoint, req any) error {
		_, err := bus.Call[any, map[string]any](t.Context(), c.conn, e, req)
		return err
	}
	limits := func(of func(limit int) (proto.Endpoint, any), most int) {
		for limit, good := range map[int]bool{-1: false, 0: true, 1: true, most: true, most + 1: false} {
			e, req := of(limit)
			if err := ask(e, req); (code(err) == bus.CodeBadRequest) == good || !good && !strings.Contains(err.Error(), "limit: must be from 0 to ") {
				t.Errorf("%s: limit %d: %v", e.Name(), limit, err)
			}
		}
	}
	limits(func(n int) (proto.Endpoint, any) { return proto.EndpointFleet, proto.FleetRequest{Limit: n} }, proto.MaxHosts)
	limits(func(n int) (proto.Endpoint, any) { return proto.EndpointEvents, proto.EventsRequest{Limit: n} }, proto.MaxEvents)
	limits(func(n int) (proto.Endpoint, any) { return proto.EndpointAudit, proto.AuditRequest{Limit: n} }, proto.MaxEntries)
	limits(func(n int) (proto.Endpoint, any) {
		return proto.EndpointRolloutShow, proto.RolloutShowRequest{Limit: n}
	}, proto.MaxHosts)
	limits(func(n int) (proto.Endpoint, any) {
		return proto.EndpointRolloutPlan, proto.RolloutPlanRequest{Limit: n}
	}, proto.MaxHosts)
	for _, wait := range []time.Duration{-time.Second, proto.MaxWait + 1} {
		for e, req := range map[proto.Endpoint]any{
			proto.EndpointFleet:       proto.FleetRequest{After: 1, Wait: wait},
			proto.EndpointHost:        proto.HostRequest{Host: hostName(t, "web1"), Wait: wait},
			proto.EndpointEvents:      proto.EventsRequest{Last: true, Wait: wait},
			proto.EndpointBuildLog:    proto.BuildLogRequest{Wait: wait},
			proto.EndpointRolloutShow: proto.RolloutShowRequest{After: 1, Wait: wait},
		} {
			if err := ask(e, req); code(err) != bus.CodeBadRequest || !strings.Contains(err.Error(), "wait: must be from 0s to 30s, got ") {
				t.Errorf("%s: wait %s: %v", e.Name(), wait, err)
			}
		}
	}
}

// TestABadRevisionIsRefusedAndChangesNothing: what is wrong is said of what it concerns,
// and what hosts are to run stays as it was.
func TestABadRevisionIsRefusedAndChangesNothing(t *testing.T) {
	c := start(t)
	web1, web2, one, two := hostName(t, "web1"), hostName(t, "web2"), toplevel(t, "one"), toplevel(t, "two")
	both := func(p proto.StorePath) map[proto.HostName]proto.StorePath {
		return map[proto.HostName]proto.StorePath{web1: p, web2: p}
	}
	spec := func(kedge string) controllertest.Flake {
		return controllertest.Flake{Toplevels: both(two), Kedge: kedge}
	}
	c.world.Push(flake(both(one)))
	c.await(t, "a good one", func(r proto.FleetReply) bool { return wants(web1, 1, one)(r) && wants(web2, 1, one)(r) })
	for name, tt := range map[string]struct {
		flake  controllertest.Flake
		reason proto.Reason
		says   []string
	}{
		"attributes that do not exist": {spec(`{"rolout": {}, "hosts": {"web9": {}}}`), proto.ReasonBadSpec, []string{`did you mean "rollout"?`, "web9"}},
		"a selector that matches nobody": {
			spec(`{"rollout": {"waves": [{"name": "a", "hosts": "mail*"}]}}`), proto.ReasonBadSpec, []string{`kedge.rollout.waves[0].hosts: no host is called "mail*"`},
		},
		"a tag with a typo": {
			spec(`{"hosts": {"web1": {"tags": ["canary"]}}, "rollout": {"waves": [{"name": "a", "hosts": "tag:canray"}]}}`), proto.ReasonBadSpec, []string{`did you mean "canary"?`},
		},
		"contradictory windows": {
			spec(`{"rollout": {"windows": {"allow": ["Mon 09:00-10:00"], "deny": ["Mon 08:00-11:00"]}}}`), proto.ReasonBadSpec, []string{"never opens: deny has all of it"},
		},
		"nothing to evaluate": {controllertest.Flake{Missing: "nixosConfigurations"}, proto.ReasonNoConfigurations, []string{"nixosConfigurations"}},
	} {
		rev := c.world.Push(tt.flake)
		r := c.await(t, name, func(r proto.FleetReply) bool {
			s := channel(r, "main")
			return s.Revision == rev && !s.Working && s.Error != ""
		})
		s := channel(r, "main")
		for _, word := range tt.says {
			if !strings.Contains(s.Error, word) {
				t.Errorf("%s: error = %q, want it to say %s", name, s.Error, word)
			}
		}
		if s.Reason != tt.reason || s.Built == rev {
			t.Errorf("%s: reason = %q, built %s; want %s", name, s.Reason, s.Built.Short(), tt.reason)
		}
		for _, h := range []proto.HostName{web1, web2} {
			if v := hostIn(r, h); v.Want.Serial != 1 || v.Want.Toplevel != one {
				t.Errorf("%s: %s is to run %+v, want it as it was", name, h, v.Want)
			}
		}
	}
	broken := flake(map[proto.HostName]proto.StorePath{web1: two})
	broken.Broken = map[proto.HostName]string{web2: "nobody set the frobnicator"}
	c.world.Push(broken)
	r := c.await(t, "web1 alone", func(r proto.FleetReply) bool {
		return wants(web1, 2, two)(r) && hostIn(r, web2).Problem != nil && !channel(r, "main").Working
	})
	if v := hostIn(r, web2); v.Problem.Reason != proto.ReasonEvalFailed || !strings.Contains(v.Problem.Message, "frobnicator") || v.Want.Serial != 1 {
		t.Errorf("web2 = %+v, problem %+v; want it as it was, and why", v.Want, v.Problem)
	}

	c.world.Down(errors.New("Permission denied (publickey)"))
	r = c.await(t, "no repository", func(r proto.FleetReply) bool { return channel(r, "main").Reason == proto.ReasonSourceUnreachable })
	if s := channel(r, "main"); !strings.Contains(s.Error, "Permission denied") || !wants(web1, 2, two)(r) {
		t.Errorf("source = %+v, want it unreachable, and why", s)
	}
	c.world.Down(nil)
	c.world.Push(flake(both(one)))
	r = c.await(t, "what mends it", func(r proto.FleetReply) bool { return wants(web1, 3, one)(r) && hostIn(r, web2).Problem == nil })
	if s := channel(r, "main"); s.Error != "" {
		t.Errorf("source = %+v, want nothing wrong with it", s)
	}
}

// TestAStorePathThatIsNowhereIsRefused: by name, with everything else that was to be
// published.
func TestAStorePathThatIsNowhereIsRefused(t *testing.T) {
	c := start(t)
	web1, one, nowhere := hostName(t, "web1"), toplevel(t, "one"), toplevel(t, "nowhere")
	c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: one}))
	c.await(t, "a good one", wants(web1, 1, one))
	_, err := bus.Call[proto.PublishRequest, proto.PublishReply](t.Context(), c.conn, proto.EndpointPublish, proto.PublishRequest{
		Targets: []proto.PublishTarget{{Host: web1, Toplevel: nowhere}},
	})
	if code(err) != bus.CodeRefused || !strings.Contains(err.Error(), nowhere.String()) || !strings.Contains(err.Error(), "nothing was published") {
		t.Errorf("error = %v, want a refusal that names %s", err, nowhere)
	}
	if r := c.await(t, "web1 as it was", wants(web1, 1, one)); hostIn(r, web1).Problem != nil {
		t.Errorf("problem of web1 = %+v", hostIn(r, web1).Problem)
	}
}
