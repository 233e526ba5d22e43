package natsd_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"kedge/controller/internal/natsd"
	"kedge/proto"
	"kedge/proto/bus"
)

func TestEverythingGoesOnAfterAKillOfTheServer(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	dir := t.TempDir()
	keys, err := natsd.OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, "127.0.0.1:0")

	control := connect(t, p.url, "controller", keys.ControllerCredentials())
	awaitConnected(t, control)
	fleet := bus.NewFleet(control, slog.New(slog.DiscardHandler))
	if err := fleet.EnsureAssets(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	name := hostName(t, "web2")
	c := connect(t, p.url, "web2", hostFileOf(t, keys, "web2"))
	awaitConnected(t, c)
	host := bus.NewHost(c, name)
	t.Cleanup(host.Close)
	reports := make(chan bus.StatusReport, 100)
	beats := make(chan bus.HeartbeatReport, 100)
	events := make(chan proto.NumberedEvent, 100)
	run(t, func(ctx context.Context) error {
		return fleet.Statuses(ctx, bus.StatusFeed{Status: func(r bus.StatusReport) { reports <- r }})
	})
	run(t, func(ctx context.Context) error {
		return fleet.Heartbeats(ctx, func(r bus.HeartbeatReport) { beats <- r })
	})
	run(t, func(ctx context.Context) error {
		return fleet.FollowEvents(ctx, func(e proto.NumberedEvent) error { events <- e; return nil })
	})
	service := bus.NewService(bus.ServiceOptions{Conn: control, Version: "0.0.1", Log: slog.New(slog.DiscardHandler)})
	bus.Handle(service, proto.EndpointFleet, func(context.Context, bus.Caller, proto.FleetRequest) (proto.FleetReply, error) {
		return proto.FleetReply{Version: 42}, nil
	})
	run(t, service.Run)
	creds, err := keys.OperatorCredentials(proto.RoleViewer, "eva")
	if err != nil {
		t.Fatal(err)
	}
	cli := connect(t, p.url, "cli", writeFile(t, "eva.creds", creds))
	awaitConnected(t, cli)

	awaitRing(t, host)
	last := uint64(0)
	for round, want := range []string{"one", "two", "three"} {
		if last, err = fleet.PutDesired(t.Context(), name, []byte(want), last); err != nil {
			t.Fatal(err)
		}
		awaitRing(t, host)
		publishEventually(t, host)
		receive(t, reports)
		if _, err := host.PublishEvent(t.Context(), event(t, "web2", round)); err != nil {
			t.Fatal(err)
		}
		for e := receive(t, events); e.Event.ID != event(t, "web2", round).ID; e = receive(t, events) {
			if round == 0 {
				t.Errorf("the first event is %v", e) // later an old one may come again
			}
		}
		heartbeatUntilHeard(t, host, beats)
		callUntilAnswered(t, cli)

		before := []uint64{c.State().Connects, control.State().Connects}
		address := p.address()
		p.kill()
		await(t, c, func(s bus.State) bool { return !s.Connected && s.Err != nil })
		if _, err := host.Desired(t.Context()); !errors.Is(err, bus.ErrNotConnected) {
			t.Errorf("without a server: got %v, want %v", err, bus.ErrNotConnected)
		}
		started := time.Now()
		p = startProcess(t, dir, address)
		await(t, c, func(s bus.State) bool { return s.Connected && s.Connects > before[0] })
		await(t, control, func(s bus.State) bool { return s.Connected && s.Connects > before[1] })
		t.Logf("connected %v after the server was started again", time.Since(started))

		// What was acknowledged is still there, and the connection rings.
		awaitRing(t, host)
		if r, err := host.Desired(t.Context()); err != nil || string(r.Data) != want || r.Seq != last {
			t.Fatalf("after the kill: got %q, %d, %v, want %q, %d", r.Data, r.Seq, err, want, last)
		}
		if r := receive(t, reports); r.Status.Host != name {
			t.Errorf("after the kill: got %v", r)
		}
		drain(host.Doorbell())
	}
}

func TestAConnectionSurvivesAServerWithOtherKeys(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	address := w.address()
	file, _ := w.hostFile(t, "web1")
	c := connect(t, w.server.ClientURL(), "web1", file)
	awaitConnected(t, c)
	host := bus.NewHost(c, hostName(t, "web1"))
	t.Cleanup(host.Close)
	awaitRing(t, host)

	mine := w.dir
	w.server.Shutdown()
	w.dir = t.TempDir()
	w.start(t, address)
	// More often than nats.go would put up with by itself.
	for range 5 {
		_, changed := c.Watch()
		receive(t, changed)
	}
	await(t, c, func(s bus.State) bool { return !s.Connected && errors.Is(s.Err, nats.ErrAuthorization) })

	w.server.Shutdown()
	w.dir = mine
	w.start(t, address)
	awaitConnected(t, c)
	awaitRing(t, host)
	publishStatus(t, host, "web1", "back")
}

func TestCredentialsAreReadAtEveryConnection(t *testing.T) {
	w := newWorld(t)
	file, _ := w.hostFile(t, "web1")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c := connect(t, w.server.ClientURL(), "web1", file)
	host := bus.NewHost(c, hostName(t, "web1"))
	t.Cleanup(host.Close)
	await(t, c, func(s bus.State) bool { return errors.Is(s.Err, os.ErrNotExist) })
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, c, func(s bus.State) bool { return s.Err != nil && !errors.Is(s.Err, os.ErrNotExist) })
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	awaitConnected(t, c)
	awaitRing(t, host)

	// The same host enrolled anew, by a server that does not know the old key: its
	// inbox has another name.
	address := w.address()
	w.server.Shutdown()
	w.dir = t.TempDir()
	w.start(t, address)
	fleet := w.fleet(t)
	another, _ := w.hostFile(t, "web1")
	renewed, err := os.ReadFile(another)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, renewed, 0o600); err != nil {
		t.Fatal(err)
	}
	awaitRing(t, host)
	publishStatus(t, host, "web1", "renewed")
	if _, err := fleet.PutDesired(t.Context(), hostName(t, "web1"), []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	awaitRing(t, host)
}

// hostFileOf returns a credentials file of host name, issued with keys.
func hostFileOf(t *testing.T, keys *natsd.Keys, name string) string {
	t.Helper()
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := keys.HostJWT(hostName(t, name), id.PublicKey, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	creds, err := bus.FormatCredentials(jwt, id.Seed)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, name+".creds", creds)
}

// heartbeatUntilHeard sends heartbeats until one is heard.
func heartbeatUntilHeard(t *testing.T, h *bus.Host, beats <-chan bus.HeartbeatReport) {
	t.Helper()
	timeout := time.After(patience)
	for {
		if err := h.Heartbeat(t.Context(), proto.Heartbeat{Host: hostName(t, "web2"), Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-beats:
			return
		case <-time.After(20 * time.Millisecond):
		case <-timeout:
			t.Fatal("no heartbeat is heard")
		}
	}
}

// callUntilAnswered asks for the fleet until a controller is there.
func callUntilAnswered(t *testing.T, c *bus.Conn) {
	t.Helper()
	timeout := time.After(patience)
	for {
		rep, err := bus.Call[proto.FleetRequest, proto.FleetReply](t.Context(), c, proto.EndpointFleet, proto.FleetRequest{})
		if err == nil {
			if rep.Version != 42 {
				t.Errorf("got %v", rep)
			}
			return
		}
		if !errors.Is(err, bus.ErrNoResponders) && !errors.Is(err, bus.ErrNotConnected) {
			t.Fatal(err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-timeout:
			t.Fatal(err)
		}
	}
}

// drain takes what is in c.
func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}
