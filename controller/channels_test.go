package controller_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/internal/spec"
	"kedge/proto"
)

// twoChannels is a controller with the channels main and testing.
func twoChannels(t *testing.T) *controllerTest {
	t.Helper()
	return start(t, func(c *controller.Config) {
		c.Sources["testing"] = controller.SourceConfig{URL: "/srv/testing.git", Branch: "main", Poll: time.Hour, Hosts: spec.All()}
	})
}

// channel returns how a channel's source stands.
func channel(r proto.FleetReply, name string) proto.SourceStatus {
	for _, s := range r.Sources {
		if s.Channel == name {
			return s
		}
	}
	return proto.SourceStatus{}
}

// hostIn returns how a host stands.
func hostIn(r proto.FleetReply, h proto.HostName) proto.HostView {
	for _, v := range r.Hosts {
		if v.Host == h {
			return v
		}
	}
	return proto.HostView{}
}

func flake(hosts map[proto.HostName]proto.StorePath) controllertest.Flake {
	return controllertest.Flake{Toplevels: hosts}
}

func TestChannelsAreTheirHostsOwn(t *testing.T) {
	c := twoChannels(t)
	web1, test1 := hostName(t, "web1"), hostName(t, "test1")
	one, two := toplevel(t, "one"), toplevel(t, "two")
	c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: one}))
	c.world.PushTo("testing", flake(map[proto.HostName]proto.StorePath{test1: one}))
	r := c.await(t, "both channels", func(r proto.FleetReply) bool {
		return wants(web1, 1, one)(r) && wants(test1, 1, one)(r)
	})
	for _, want := range []struct {
		host    proto.HostName
		channel string
	}{{web1, "main"}, {test1, "testing"}} {
		if v := hostIn(r, want.host); v.Channel != want.channel || v.Problem != nil {
			t.Errorf("%s follows %q with problem %+v, want %s without", want.host, v.Channel, v.Problem, want.channel)
		}
	}

	// What is wrong with one is no business of the other.
	c.world.DownOf("testing", errors.New("connection refused"))
	c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: two}))
	r = c.await(t, "a channel that cannot be read, and another one", func(r proto.FleetReply) bool {
		return channel(r, "testing").Error != "" && wants(web1, 2, two)(r)
	})
	if s := channel(r, "main"); s.Error != "" {
		t.Errorf("main: error = %q, which is of testing", s.Error)
	}
	if v := hostIn(r, test1); v.Problem != nil || v.Want.Serial != 1 {
		t.Errorf("test1 is %+v, want it as it was", v)
	}
	c.stop(t)
	c.start(t) // with testing down
	c.await(t, "the hosts after a restart", func(r proto.FleetReply) bool {
		return channel(r, "main").IsBuilt() && channel(r, "testing").Error != "" &&
			hostIn(r, test1).Problem == nil && hostIn(r, test1).Channel == "testing"
	})
}

// TestAHostOfTwoChannelsGetsNothingNew: neither from the one that had it, nor from
// the one that took it, until there is one again.
func TestAHostOfTwoChannelsGetsNothingNew(t *testing.T) {
	c := twoChannels(t)
	web1, both := hostName(t, "web1"), hostName(t, "both")
	one, two, three := toplevel(t, "one"), toplevel(t, "two"), toplevel(t, "three")
	disputed := func(r proto.FleetReply) bool {
		v := hostIn(r, both)
		return v.Problem != nil && v.Problem.Reason == proto.ReasonTwoChannels && v.Channel == ""
	}
	c.stop(t)
	c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: one, both: one}))
	c.world.PushTo("testing", flake(map[proto.HostName]proto.StorePath{both: two}))
	c.start(t)
	c.await(t, "nothing for the host that is in both from the start", func(r proto.FleetReply) bool {
		return wants(web1, 1, one)(r) && disputed(r) && hostIn(r, both).Want.Serial == 0
	})

	c.world.PushTo("testing", flake(map[proto.HostName]proto.StorePath{hostName(t, "test1"): two}))
	c.await(t, "the host of main alone", wants(both, 1, one))

	c.world.PushTo("testing", flake(map[proto.HostName]proto.StorePath{both: two}))
	c.await(t, "a dispute", disputed)
	c.stop(t)
	c.start(t) // what was claimed is durable
	c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: three, both: three}))
	c.await(t, "the other host of main alone", func(r proto.FleetReply) bool {
		return wants(web1, 2, three)(r) && disputed(r) && hostIn(r, both).Want.Toplevel == one
	})

	c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: three}))
	r := c.await(t, "the host of testing alone", wants(both, 2, two))
	if v := hostIn(r, both); v.Channel != "testing" || v.Problem != nil {
		t.Errorf("the host follows %q with problem %+v, want testing without", v.Channel, v.Problem)
	}
}

// TestASelectorSaysWhoFollowsAChannel: two channels of one flake, of which each has
// every host.
func TestASelectorSaysWhoFollowsAChannel(t *testing.T) {
	selector := func(text string) spec.Selector {
		s, err := spec.ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	c := start(t, func(c *controller.Config) {
		main := c.Sources["main"]
		main.Hosts = selector("not test*")
		c.Sources["main"] = main
		c.Sources["testing"] = controller.SourceConfig{URL: "/srv/fleet.git", Branch: "testing", Poll: time.Hour, Hosts: selector("test*")}
	})
	web1, test1 := hostName(t, "web1"), hostName(t, "test1")
	one, two := toplevel(t, "one"), toplevel(t, "two")
	c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: one, test1: one}))
	c.world.PushTo("testing", flake(map[proto.HostName]proto.StorePath{web1: two, test1: two}))
	r := c.await(t, "each host from its channel", func(r proto.FleetReply) bool {
		return wants(web1, 1, one)(r) && wants(test1, 1, two)(r)
	})
	for _, s := range r.Sources {
		if s.Error != "" {
			t.Errorf("%s: error = %q", s.Channel, s.Error)
		}
	}
}

// TestWhatIsNotAdmittedIsNotDeployed: the channel says so, and what was deployed
// before is durable.
func TestWhatIsNotAdmittedIsNotDeployed(t *testing.T) {
	c := start(t)
	web1, one, two := hostName(t, "web1"), toplevel(t, "one"), toplevel(t, "two")
	first := c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: one}))
	c.await(t, "the first revision", wants(web1, 1, one))
	unsigned := flake(map[proto.HostName]proto.StorePath{web1: two})
	unsigned.Unsigned = true
	c.world.Push(unsigned)
	refused := func(r proto.FleetReply) bool { return channel(r, "main").Reason == proto.ReasonUnsigned }
	c.await(t, "a refusal", refused)
	c.stop(t)
	c.start(t)
	r := c.await(t, "a refusal after a restart", refused)
	if v := hostIn(r, web1); v.Want.Serial != 1 || v.Want.Toplevel != one {
		t.Errorf("web1 is to run %+v, want it as it was", v.Want)
	}
	if text := channel(r, "main").Error; !strings.Contains(text, "after "+first.Short()) {
		t.Errorf("error = %q, want it to begin after %s, which is deployed", text, first.Short())
	}
}

// TestAForcePushThatIsLetThroughIsToldOf: once, by the channel and a metric, and
// after a restart.
func TestAForcePushThatIsLetThroughIsToldOf(t *testing.T) {
	c := start(t)
	web1, one, two := hostName(t, "web1"), toplevel(t, "one"), toplevel(t, "two")
	first := c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: one}))
	r := c.await(t, "the first revision", wants(web1, 1, one))
	if p := channel(r, "main").PushedOver; p != nil {
		t.Errorf("the first revision is said to be pushed over: %+v", p)
	}
	over := flake(map[proto.HostName]proto.StorePath{web1: two})
	over.Over, over.Missing = true, "nixosConfigurations"
	second := c.world.Push(over)
	told := func(r proto.FleetReply) bool {
		p := channel(r, "main").PushedOver
		return p != nil && p.Revision == second && p.Over == first && !p.Time.IsZero()
	}
	c.await(t, "a force-push that does not evaluate", func(r proto.FleetReply) bool {
		return told(r) && channel(r, "main").Reason != ""
	})
	over.Missing = ""
	c.world.Amend(over)
	c.await(t, "it after another try", func(r proto.FleetReply) bool { return wants(web1, 2, two)(r) && told(r) })
	resp, err := http.Get("http://" + c.HTTPAddress() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if want := `kedge_controller_force_pushes_total{channel="main"} 1`; !strings.Contains(string(text), want) {
		t.Errorf("the metrics lack %q", want)
	}
	c.stop(t)
	c.start(t)
	c.await(t, "a force-push after a restart", told)
}
