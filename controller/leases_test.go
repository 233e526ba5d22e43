package controller_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

// credentials returns a file with those of a host, which the controller makes.
func (c *controllerTest) credentials(t *testing.T, name string) string {
	t.Helper()
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	r, err := bus.Call[proto.HostAddRequest, proto.HostAddReply](t.Context(), c.conn, proto.EndpointHostAdd,
		proto.HostAddRequest{Host: hostName(t, name), PublicKey: id.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	return credentialsFile(t, r.JWT, id)
}

func credentialsFile(t *testing.T, jwt string, id bus.Identity) string {
	t.Helper()
	text, err := bus.FormatCredentials(jwt, id.Seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "host.creds")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// connectHost returns the view of a host.
func connectHost(t *testing.T, url, name, credentials string) *bus.Host {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{
		Servers: []string{url}, Name: name, Credentials: credentials, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.AwaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := bus.NewHost(conn, hostName(t, name))
	t.Cleanup(h.Close)
	return h
}

// acquire asks for a lease until a controller answers.
func acquire(t *testing.T, h *bus.Host, deployment string) proto.LeaseReply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := controllertest.AwaitLease(ctx, h, deployment)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// holders returns who has a lease.
func holders(t *testing.T, conn *bus.Conn) []string {
	t.Helper()
	r, err := bus.Call[proto.LeaseListRequest, proto.LeaseListReply](t.Context(), conn, proto.EndpointLeaseList, proto.LeaseListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{}
	for _, l := range r.Leases {
		hosts = append(hosts, fmt.Sprintf("%s for %s", l.Host, l.Deployment))
	}
	return hosts
}

func mustHold(t *testing.T, conn *bus.Conn, want ...string) {
	t.Helper()
	if d := cmp.Diff(append([]string{}, want...), holders(t, conn)); d != "" {
		t.Errorf("leases (-want +got):\n%s", d)
	}
}

// audit returns what of the leases is in the audit: act, actor and host.
func (c *controllerTest) audit(t *testing.T) []string {
	t.Helper()
	nc, err := nats.Connect(c.NATSURL(), nats.UserCredentials(filepath.Join(c.stateDir, "keys", "controller.creds")))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), proto.StreamAudit)
	if err != nil {
		t.Fatal(err)
	}
	var acts []string
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		e, err := proto.ParseAuditEntry(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(e.Act), "lease-") {
			acts = append(acts, fmt.Sprintf("%s by %s: %s", e.Act, e.Actor, e.Host))
		}
	}
	return acts
}

func TestOneHostRebootsAtATime(t *testing.T) {
	c := start(t)
	web1 := connectHost(t, c.NATSURL(), "web1", c.credentials(t, "web1"))
	web2 := connectHost(t, c.NATSURL(), "web2", c.credentials(t, "web2"))
	mustHold(t, c.conn)
	first := acquire(t, web1, "7-1")
	if !first.Granted || first.Since.IsZero() || !first.Expires.IsZero() || first.Reason != "" {
		t.Errorf("the first: got %+v, want a lease for ever", first)
	}
	if r := acquire(t, web2, "7-1"); r.Granted || r.Reason != proto.ReasonNoLease || r.Message != "1 of 1 reboot leases are held" {
		t.Errorf("the second: got %+v", r)
	}
	if r := acquire(t, web1, "8-1"); !r.Granted || !r.Since.Equal(first.Since) {
		t.Errorf("the first, for another deployment: got %+v, want the same lease", r)
	}
	mustHold(t, c.conn, "web1 for 8-1")
	if err := web2.ReleaseLease(t.Context(), "7-1"); err != nil {
		t.Errorf("to give back what one has not: %v", err)
	}
	mustHold(t, c.conn, "web1 for 8-1")
	if err := testutil.GatherAndCompare(c.Registry, strings.NewReader(`
# HELP kedge_controller_reboot_leases Hosts that have a reboot lease; not shown until that is known.
# TYPE kedge_controller_reboot_leases gauge
kedge_controller_reboot_leases 1
# HELP kedge_controller_reboot_lease_requests_total Requests of hosts for reboot leases, by what came of them.
# TYPE kedge_controller_reboot_lease_requests_total counter
kedge_controller_reboot_lease_requests_total{result="failed"} 0
kedge_controller_reboot_lease_requests_total{result="granted"} 2
kedge_controller_reboot_lease_requests_total{result="not-held"} 1
kedge_controller_reboot_lease_requests_total{result="refused"} 1
kedge_controller_reboot_lease_requests_total{result="released"} 0
`), "kedge_controller_reboot_leases", "kedge_controller_reboot_lease_requests_total"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := web1.ReleaseLease(t.Context(), "7-1"); err != nil {
			t.Fatal(err)
		}
	}
	mustHold(t, c.conn)
	if r := acquire(t, web2, "7-1"); !r.Granted {
		t.Errorf("the second, when the first is done: got %+v", r)
	}
	want := []string{"lease-acquire by kedge: web1", "lease-release by kedge: web1", "lease-acquire by kedge: web2"}
	if d := cmp.Diff(want, c.audit(t)); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
}

func TestLeasesOutliveTheController(t *testing.T) {
	c := start(t)
	file1, file2 := c.credentials(t, "web1"), c.credentials(t, "web2")
	if r := acquire(t, connectHost(t, c.NATSURL(), "web1", file1), "7-1"); !r.Granted {
		t.Fatalf("got %+v", r)
	}
	c.stop(t)
	c.start(t)
	web1, web2 := connectHost(t, c.NATSURL(), "web1", file1), connectHost(t, c.NATSURL(), "web2", file2)
	if r := acquire(t, web2, "7-1"); r.Granted {
		t.Error("a second host may reboot after a restart")
	}
	if r := acquire(t, web1, "7-1"); !r.Granted {
		t.Errorf("who had a lease before the restart: got %+v", r)
	}
	if err := web1.ReleaseLease(t.Context(), "7-1"); err != nil {
		t.Fatal(err)
	}
	if r := acquire(t, web2, "7-1"); !r.Granted {
		t.Errorf("got %+v", r)
	}
}

func TestAnOperatorFreesALease(t *testing.T) {
	c := start(t)
	web1 := connectHost(t, c.NATSURL(), "web1", c.credentials(t, "web1"))
	web2 := connectHost(t, c.NATSURL(), "web2", c.credentials(t, "web2"))
	acquire(t, web1, "7-1")
	free := func(conn *bus.Conn, name string) (proto.LeaseFreeReply, error) {
		r := proto.LeaseFreeRequest{}
		if name != "" {
			r.Host = hostName(t, name)
		}
		return bus.Call[proto.LeaseFreeRequest, proto.LeaseFreeReply](t.Context(), conn, proto.EndpointLeaseFree, r)
	}
	var said *bus.APIError
	if r, err := free(c.conn, "web2"); err != nil || !r.Freed.Host.IsZero() {
		t.Errorf("who has none: got %+v, %v; want that there was nothing to free", r, err)
	}
	if _, err := free(c.conn, "web9"); !errors.As(err, &said) || said.Code != bus.CodeNotFound {
		t.Errorf("who is not known: got %v", err)
	}
	if _, err := free(c.conn, ""); !errors.As(err, &said) || said.Code != bus.CodeBadRequest {
		t.Errorf("nobody: got %v", err)
	}
	r, err := free(c.conn, "web1")
	if err != nil || r.Freed.Host != hostName(t, "web1") || r.Freed.Deployment != "7-1" {
		t.Errorf("got %+v, %v", r, err)
	}
	mustHold(t, c.conn)
	if r, err := free(c.conn, "web1"); err != nil || !r.Freed.Host.IsZero() {
		t.Errorf("once more: got %+v, %v; want that there was nothing to free", r, err)
	}
	if r := acquire(t, web2, "7-2"); !r.Granted {
		t.Errorf("the next host: got %+v", r)
	}
	if r := acquire(t, web1, "7-1"); r.Granted {
		t.Error("who lost its lease still has it")
	}
	want := []string{"lease-acquire by kedge: web1", "lease-free by admin: web1", "lease-acquire by kedge: web2"}
	if d := cmp.Diff(want, c.audit(t)); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
}

func TestHostsAndControllersRaceForOneLease(t *testing.T) {
	server, dir := startTheirs(t)
	var stops []func()
	for i := range 2 {
		stops = append(stops, runExternal(t, filepath.Join(dir, fmt.Sprint("state", i)), server))
	}
	viewer := connectOperator(t, server, dir, proto.RoleViewer)
	var hosts []*bus.Host
	for i := range 8 {
		name := fmt.Sprintf("web%d", i)
		id, err := bus.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		jwt, err := server.HostJWT(hostName(t, name), id.PublicKey, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, connectHost(t, server.ClientURL(), name, credentialsFile(t, jwt, id)))
	}
	acquire(t, hosts[0], "0") // somebody answers
	if err := hosts[0].ReleaseLease(t.Context(), "0"); err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		var all sync.WaitGroup
		granted := make(chan *bus.Host, len(hosts))
		for _, h := range hosts {
			all.Go(func() {
				r, err := h.AcquireLease(t.Context(), fmt.Sprint(round))
				if err != nil {
					t.Error(err)
				}
				if r.Granted {
					granted <- h
				}
			})
		}
		all.Wait()
		if len(granted) != 1 {
			t.Fatalf("round %d: %d hosts may reboot, want 1; leases: %v", round, len(granted), holders(t, viewer))
		}
		if err := (<-granted).ReleaseLease(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	acquire(t, hosts[0], "last")
	stops[0]()
	if r := acquire(t, hosts[1], "last"); r.Granted {
		t.Error("the controller that is left knows nothing of the lease")
	}
	mustHold(t, viewer, "web0 for last")
	for _, role := range []proto.Role{proto.RoleViewer, proto.RoleOperator} {
		_, err := bus.Call[proto.LeaseFreeRequest, proto.LeaseFreeReply](t.Context(), connectOperator(t, server, dir, role),
			proto.EndpointLeaseFree, proto.LeaseFreeRequest{Host: hostName(t, "web0")})
		if !errors.Is(err, bus.ErrDenied) {
			t.Errorf("the role %s frees a lease: got %v, want %v", role, err, bus.ErrDenied)
		}
	}
	mustHold(t, viewer, "web0 for last")
}
