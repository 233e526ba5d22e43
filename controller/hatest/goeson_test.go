package hatest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

// enrolled returns an agent of a host that is added.
func enrolled(t *testing.T, admin *bus.Conn, url, name string) controllertest.Agent {
	t.Helper()
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	host := hostName(t, name)
	r := call[proto.HostAddRequest, proto.HostAddReply](t, admin, proto.EndpointHostAdd, proto.HostAddRequest{Host: host, PublicKey: id.PublicKey})
	text, err := bus.FormatCredentials(r.JWT, id.Seed)
	file := filepath.Join(t.TempDir(), "host.creds")
	if err := errors.Join(err, os.WriteFile(file, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	return controllertest.Agent{
		Host: host, Server: url, Credentials: file,
		Trust: proto.Trust{ReleaseKeys: r.ReleaseKeys, ReleaseThreshold: r.ReleaseThreshold, ControllerKeys: r.ControllerKeys},
	}
}

// running runs an agent until the function that it returns is called.
func running(t *testing.T, a controllertest.Agent) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the agent of %s ended with %v", a.Host, err)
		}
	}
}

// fleetIs waits until the controller that leads shows the fleet as ok says.
func fleetIs(t *testing.T, admin *bus.Conn, what string, ok func(proto.FleetReply) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), haPatience)
	defer cancel()
	var last proto.FleetReply
	for !ok(last) {
		if ctx.Err() != nil {
			t.Fatalf("await %s: the fleet is %+v", what, last)
		}
		last = call[proto.FleetRequest, proto.FleetReply](t, admin, proto.EndpointFleet, proto.FleetRequest{After: last.Version, Wait: time.Second})
	}
}

// TestARolloutGoesOnUnderTheNextLeader kills the leader while the first wave of a rollout
// is under way. The next one waits for what comes of that, and goes on with the others;
// every host is told once, and commits.
func TestARolloutGoesOnUnderTheNextLeader(t *testing.T) {
	t.Parallel()
	url, dirs := cluster(t)
	a := startService(t, dirs[0], url)
	credentials := filepath.Join(dirs[0], "admin.creds")
	awaitFile(t, credentials)
	admin := connectTo(t, url, credentials)
	agents := []controllertest.Agent{enrolled(t, admin, url, "web1"), enrolled(t, admin, url, "web2"), enrolled(t, admin, url, "web3")}
	stopFirst := running(t, agents[0])
	for _, other := range agents[1:] {
		defer running(t, other)()
	}
	heard := func(r proto.FleetReply) bool {
		n := 0
		for _, v := range r.Hosts {
			if v.Status != nil {
				n++
			}
		}
		return n == len(agents)
	}
	fleetIs(t, admin, "all agents", heard)
	stopFirst()
	copyKeys(t, dirs, url)
	b := startService(t, dirs[1], url)
	b.push("one web1 web2 web3")

	a.push("one web1 web2 web3")
	wanted(t, admin, 1, "one")
	a.stop()
	told := func(r proto.FleetReply) (n int) {
		for _, v := range r.Hosts {
			n += int(v.Want.Serial) //nolint:gosec // G115: a few
		}
		return n
	}
	fleetIs(t, admin, "the next leader", func(r proto.FleetReply) bool { return b.leads() == 1 && heard(r) })
	fleetIs(t, admin, "web1 alone", func(r proto.FleetReply) bool { return told(r) == 1 })
	defer running(t, agents[0])()
	fleetIs(t, admin, "that all have committed", func(r proto.FleetReply) bool {
		done := 0
		for _, v := range r.Hosts {
			if v.Status != nil && v.Status.Deployment.Verdict == proto.VerdictSucceeded && v.Status.Systems.Proven == toplevel(t, "one") {
				done++
			}
		}
		return done == len(agents) && told(r) == len(agents)
	})
	rollouts := call[proto.RolloutListRequest, proto.RolloutListReply](t, admin, proto.EndpointRolloutList, proto.RolloutListRequest{}).Rollouts
	if len(rollouts) != 1 || rollouts[0].State != proto.RolloutDone && rollouts[0].State != proto.RolloutRunning {
		t.Errorf("rollouts: %+v, want the one that was begun", rollouts)
	}
	checkPublished(t, jet(t, url, dirs[0]), "one")
}
