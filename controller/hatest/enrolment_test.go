package hatest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// TestHostsEnrolRenewAndAreRevokedOnACluster enrols a host on three NATS servers, one of
// which dies; it renews its credentials over another one, and once it is revoked no server
// lets it in.
func TestHostsEnrolRenewAndAreRevokedOnACluster(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a")
	nats := startCluster(t, dir)
	startService(t, dir, nats.url(), memberReplicas+"=3")
	awaitFile(t, filepath.Join(dir, "admin.creds"))
	admin := connectTo(t, nats.url(), filepath.Join(dir, "admin.creds"))
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	web1 := hostName(t, "web1")
	added := answered(t, func(ctx context.Context) (proto.HostAddReply, error) {
		return bus.Call[proto.HostAddRequest, proto.HostAddReply](ctx, admin, proto.EndpointHostAdd, proto.HostAddRequest{Host: web1, PublicKey: id.PublicKey})
	})
	text, err := bus.FormatCredentials(added.JWT, id.Seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "web1.creds")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var hosts []*bus.Conn
	for _, s := range nats {
		conn := connectTo(t, natsCluster{s}.url(), file)
		awaitConn(t, conn, func(s bus.State) bool { return s.Connected })
		hosts = append(hosts, conn)
	}

	nats.awaitWhole(t, jet(t, nats.url(), dir))
	nats[0].kill()
	has, err := bus.ReadToken(file, "")
	if err != nil {
		t.Fatal(err)
	}
	host := bus.NewHost(hosts[1], web1)
	t.Cleanup(host.Close)
	renewed := answered(t, func(ctx context.Context) (proto.RenewReply, error) {
		return host.Renew(ctx, proto.RenewRequest{PublicKey: has.PublicKey, Expires: has.Expires.Add(-time.Hour)})
	})
	if next, err := bus.ParseToken(renewed.JWT); err != nil || next.PublicKey != id.PublicKey || next.Name != "web1" {
		t.Errorf("renewed with one server down: %+v, error %v", next, err)
	}

	answered(t, func(ctx context.Context) (proto.HostRevokeReply, error) {
		return bus.Call[proto.HostRevokeRequest, proto.HostRevokeReply](ctx, admin, proto.EndpointHostRevoke, proto.HostRevokeRequest{Host: web1})
	})
	for _, conn := range hosts[1:] {
		awaitConn(t, conn, func(s bus.State) bool { return !s.Connected && errors.Is(s.Err, bus.ErrNotAuthorized) })
	}
	// One that was down then is told as soon as it is back.
	nats[0].start(t)
	awaitConn(t, hosts[0], func(s bus.State) bool { return !s.Connected && errors.Is(s.Err, bus.ErrNotAuthorized) })
}

// awaitConn waits until the state of conn fulfils ok.
func awaitConn(t *testing.T, conn *bus.Conn, ok func(bus.State) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), haPatience)
	defer cancel()
	for {
		s, changed := conn.Watch()
		if ok(s) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the connection stays in state %+v", s)
		}
	}
}
