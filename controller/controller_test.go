package controller_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

func hostName(t *testing.T, s string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func toplevel(t *testing.T, name string) proto.StorePath {
	t.Helper()
	p, err := controllertest.Toplevel(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// controllerTest is a controller over a world and a state directory that outlive
// it.
type controllerTest struct {
	*controllertest.Running
	world    *controllertest.World
	stateDir string
	changes  []func(*controller.Config)
	conn     *bus.Conn // of the administrator
}

func start(t *testing.T, changes ...func(*controller.Config)) *controllerTest {
	t.Helper()
	c := &controllerTest{world: &controllertest.World{}, changes: changes, stateDir: filepath.Join(t.TempDir(), "state")}
	c.start(t)
	t.Cleanup(func() { c.stop(t) })
	return c
}

func (c *controllerTest) start(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // Cleanup ends it
	r, err := controllertest.Start(ctx, c.stateDir, c.world, t.Output(), c.changes...)
	if err != nil {
		t.Fatal(err)
	}
	c.Running = r
	c.conn, err = bus.Connect(ctx, bus.Options{
		Servers: []string{r.NATSURL()}, Name: "test", Credentials: r.AdminCredentials(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.conn.AwaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (c *controllerTest) stop(t *testing.T) {
	t.Helper()
	if c.Running == nil {
		return
	}
	c.conn.Close()
	if err := c.Stop(); err != nil {
		t.Errorf("the controller ended with %v", err)
	}
	c.Running = nil
}

// await reconciles, and waits until the fleet is as ok says.
func (c *controllerTest) await(t *testing.T, what string, ok func(proto.FleetReply) bool) proto.FleetReply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := bus.Call[proto.ReconcileRequest, proto.ReconcileReply](ctx, c.conn, proto.EndpointReconcile, proto.ReconcileRequest{}); err != nil {
		t.Fatal(err)
	}
	var last proto.FleetReply
	for after := uint64(0); ; after = last.Version {
		r, err := bus.Call[proto.FleetRequest, proto.FleetReply](ctx, c.conn, proto.EndpointFleet, proto.FleetRequest{After: after, Wait: proto.MaxWait})
		if err != nil {
			t.Fatalf("await %s: %v; the fleet was %+v", what, err, last)
		}
		if last = r; ok(r) {
			return r
		}
	}
}

// awaitBuild waits until a revision is built, which the fleet does not show.
func (c *controllerTest) awaitBuild(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := bus.Call[proto.ReconcileRequest, proto.ReconcileReply](ctx, c.conn, proto.EndpointReconcile, proto.ReconcileRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := c.world.AwaitBuild(ctx); err != nil {
		t.Fatalf("await a build: %v", err)
	}
}

// wants is true once the newest revision is published, and a host is to run p.
func wants(h proto.HostName, serial proto.Serial, p proto.StorePath) func(proto.FleetReply) bool {
	return func(r proto.FleetReply) bool {
		for _, v := range r.Hosts {
			if v.Host == h {
				return v.Want.Serial == serial && v.Want.Toplevel == p && allBuilt(r)
			}
		}
		return false
	}
}

// allBuilt reports whether the newest revision of every channel is built.
func allBuilt(r proto.FleetReply) bool {
	return !slices.ContainsFunc(r.Sources, func(s proto.SourceStatus) bool { return !s.IsBuilt() })
}

// fleet returns NATS as the controller sees it.
func (c *controllerTest) fleet(t *testing.T) *bus.Fleet {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{
		Servers: []string{c.NATSURL()}, Name: "test", Log: slog.New(slog.DiscardHandler),
		Credentials: filepath.Join(c.stateDir, "keys", "controller.creds"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.AwaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	return bus.NewFleet(conn, slog.New(slog.DiscardHandler))
}

// desired returns what a host reads, once that is what the fleet shows: it is published a moment
// later.
func (c *controllerTest) desired(t *testing.T, h proto.HostName) proto.Order {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	shown, err := bus.Call[proto.FleetRequest, proto.FleetReply](ctx, c.conn, proto.EndpointFleet, proto.FleetRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var serial proto.Serial
	if i := slices.IndexFunc(shown.Hosts, func(v proto.HostView) bool { return v.Host == h }); i >= 0 {
		serial = shown.Hosts[i].Want.Serial
	}
	fleet, again := c.fleet(t), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for {
		raw, err := fleet.GetDesired(ctx, h)
		if err == nil {
			if order := c.verify(t, h, raw.Data); order.Assignment.Serial >= serial {
				return order
			}
		} else if !errors.Is(err, bus.ErrNoDesired) {
			t.Fatal(err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%s does not read serial %d, which the fleet shows: %v", h, serial, err)
		}
	}
}

// verify returns what is desired, as the host finds it.
func (c *controllerTest) verify(t *testing.T, h proto.HostName, data []byte) proto.Order {
	t.Helper()
	d, err := proto.ParseDesired(data)
	if err != nil {
		t.Fatal(err)
	}
	order, err := d.Verify(c.Trust(), h, proto.Floor{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return order
}

func TestControllerGoesOnAfterARestart(t *testing.T) {
	c := start(t)
	web1 := hostName(t, "web1")
	one, two := toplevel(t, "one"), toplevel(t, "two")
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
	c.await(t, "serial 1", wants(web1, 1, one))
	trust := c.Trust()

	c.stop(t)
	c.start(t)
	c.await(t, "serial 1 after a restart", wants(web1, 1, one))
	if got := c.Trust().ControllerKeys[0]; got != trust.ControllerKeys[0] {
		t.Errorf("controller key = %s, want %s as before", got, trust.ControllerKeys[0])
	}
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: two}})
	c.await(t, "serial 2", wants(web1, 2, two))
	if got := c.desired(t, web1); got.Assignment.Serial != 2 || got.Release.Toplevel != two {
		t.Errorf("web1 reads serial %s, %s", got.Assignment.Serial, got.Release.Toplevel)
	}
}

func TestControllerPutsAgainWhatNATSLost(t *testing.T) {
	c := start(t)
	web1, one := hostName(t, "web1"), toplevel(t, "one")
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
	c.await(t, "serial 1", wants(web1, 1, one))
	before := c.desired(t, web1)

	c.stop(t)
	if err := os.RemoveAll(filepath.Join(c.stateDir, "nats")); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	if got := c.desired(t, web1); got.Assignment.Serial != before.Assignment.Serial || !got.Assignment.Issued.Equal(before.Assignment.Issued) {
		t.Errorf("web1 reads %+v, want %+v as before", got.Assignment, before.Assignment)
	}
}

func TestControllerKeepsItsFilesToItself(t *testing.T) {
	c := start(t)
	if err := filepath.WalkDir(c.stateDir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		secret := strings.HasSuffix(path, ".creds") || filepath.Base(filepath.Dir(path)) == "keys"
		if secret && i.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, i.Mode())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(c.stateDir); err != nil || i.Mode().Perm() != 0o700 {
		t.Errorf("state directory = %v, %v; want mode 0700", i, err)
	}
}

func TestOneControllerPerStateDirectory(t *testing.T) {
	c := start(t)
	second, err := controllertest.Start(t.Context(), c.stateDir, c.world, t.Output(), c.changes...)
	if err == nil {
		_ = second.Stop() // the failure is reported below
	}
	if err == nil || !strings.Contains(err.Error(), "another controller is using it") {
		t.Errorf("error = %v, want one that says so", err)
	}
}

func TestControllerStopsInTheMiddleOfABuild(t *testing.T) {
	c := start(t)
	c.world.Hold(true)
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{hostName(t, "web1"): toplevel(t, "one")}})
	c.awaitBuild(t)
}

func TestControllerTakesTheNewestOfManyRevisions(t *testing.T) {
	c := start(t)
	web1 := hostName(t, "web1")
	c.world.Hold(true)
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: toplevel(t, "one")}})
	c.awaitBuild(t)
	c.world.Hold(false)
	two := toplevel(t, "two")
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: two}})
	c.await(t, "the newest revision, first of all", wants(web1, 1, two))
}

func TestControllerRefusesWhatItCannotUse(t *testing.T) {
	c := start(t)
	var said *bus.APIError
	for name, call := range map[string]func() error{
		"a key that is none": func() error {
			_, err := bus.Call[proto.HostAddRequest, proto.HostAddReply](t.Context(), c.conn, proto.EndpointHostAdd,
				proto.HostAddRequest{Host: hostName(t, "web1"), PublicKey: "SUA"})
			return err
		},
		"no host": func() error {
			_, err := bus.Call[proto.HostAddRequest, proto.HostAddReply](t.Context(), c.conn, proto.EndpointHostAdd, proto.HostAddRequest{})
			return err
		},
		"nothing to publish": func() error {
			_, err := bus.Call[proto.PublishRequest, proto.PublishReply](t.Context(), c.conn, proto.EndpointPublish, proto.PublishRequest{})
			return err
		},
		"a host that is not known": func() error {
			_, err := bus.Call[proto.ReconcileRequest, proto.ReconcileReply](t.Context(), c.conn, proto.EndpointReconcile,
				proto.ReconcileRequest{Hosts: []proto.HostName{hostName(t, "nosuch")}})
			return err
		},
	} {
		if err := call(); !errors.As(err, &said) || said.Code == bus.CodeInternal {
			t.Errorf("%s: error = %v, want a refusal", name, err)
		}
	}
	if r := c.await(t, "anything", func(proto.FleetReply) bool { return true }); len(r.Hosts) != 0 {
		t.Errorf("hosts = %v, want none", r.Hosts)
	}
}
