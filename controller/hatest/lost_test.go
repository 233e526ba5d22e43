package hatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/controller"
	"kedge/proto"
	"kedge/proto/bus"
)

// call calls the controller that leads, again and again until one answers that can: one
// that was only just elected, or that stops, is unavailable.
func call[Q, A any](t *testing.T, conn *bus.Conn, e proto.Endpoint, req Q) A {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), haPatience)
	defer cancel()
	for {
		soon, cancel := context.WithTimeout(ctx, 3*time.Second)
		reply, err := bus.Call[Q, A](soon, conn, e, req)
		cancel()
		if err == nil {
			return reply
		}
		if said, ok := errors.AsType[*bus.APIError](err); ok && said.Code != bus.CodeUnavailable {
			t.Fatalf("%s: %v", e, err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s: %v", e, err)
		}
	}
}

// standing says what people see of a fleet: who may connect, what is held, and which
// rollouts there were.
func standing(t *testing.T, conn *bus.Conn) string {
	t.Helper()
	said := ""
	for _, v := range call[proto.FleetRequest, proto.FleetReply](t, conn, proto.EndpointFleet, proto.FleetRequest{}).Hosts {
		said += fmt.Sprintf("%s is to run %s %s", v.Host, v.Want.Serial, v.Want.Toplevel)
		if v.Key != nil {
			said += fmt.Sprintf(" with key %s, revoked %t", v.Key.PublicKey, !v.Key.Revoked.IsZero())
		}
		said += "\n"
	}
	list := call[proto.RolloutListRequest, proto.RolloutListReply](t, conn, proto.EndpointRolloutList, proto.RolloutListRequest{})
	for _, r := range list.Rollouts {
		said += fmt.Sprintf("rollout %s is %s\n", r.ID, r.State)
	}
	for _, h := range list.Holds {
		said += fmt.Sprintf("held: %s%s %s by %s\n", h.Host, h.Channel, h.Reason, h.By)
	}
	for _, op := range call[proto.OperatorListRequest, proto.OperatorListReply](t, conn, proto.EndpointOperatorList, proto.OperatorListRequest{}).Operators {
		said += fmt.Sprintf("operator %s, revoked %t\n", op.Name, !op.Revoked.IsZero())
	}
	return said
}

// settled returns how everything stands once no rollout runs: the one of the test is done a
// moment after its only host is held.
func settled(t *testing.T, conn *bus.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), haPatience)
	defer cancel()
	for look := time.NewTicker(20 * time.Millisecond); ; {
		said := standing(t, conn)
		if !strings.Contains(said, fmt.Sprintf(" is %s", proto.RolloutRunning)) {
			return said
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("a rollout runs still:\n%s", said)
		}
	}
}

// TestADiskThatWasLostIsMadeAgainFromItsKeys loses the whole state directory of the only
// controller, but for the keys, which are in a backup from before most of it happened. All
// else comes back from NATS: serials go on, and nobody is told anything anew.
func TestADiskThatWasLostIsMadeAgainFromItsKeys(t *testing.T) {
	t.Parallel()
	url, dirs := cluster(t)
	dir := dirs[0]
	a := startService(t, dir, url)
	a.push("one")
	credentials := filepath.Join(dir, "admin.creds")
	awaitFile(t, credentials)
	kept := filepath.Join(t.TempDir(), "admin.creds") // an operator's machine
	text, err := os.ReadFile(credentials)
	if err := errors.Join(err, os.WriteFile(kept, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	admin := connectTo(t, url, kept)
	wanted(t, admin, 1, "one")
	o := backUp(t, dir)
	o.KeysOnly = true

	a.push("two")
	wanted(t, admin, 2, "two")
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	web1, web2 := hostName(t, "web1"), hostName(t, "web2")
	call[proto.HostAddRequest, proto.HostAddReply](t, admin, proto.EndpointHostAdd, proto.HostAddRequest{Host: web2, PublicKey: id.PublicKey})
	call[proto.HostRevokeRequest, proto.HostRevokeReply](t, admin, proto.EndpointHostRevoke, proto.HostRevokeRequest{Host: web2})
	call[proto.RolloutActRequest, proto.RolloutActReply](t, admin, proto.EndpointRolloutAct, proto.RolloutActRequest{
		Act: proto.RolloutActHold, Hosts: []proto.HostName{web1}, Reason: "being debugged",
	})
	before := settled(t, admin)
	a.stop()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}

	if _, err := controller.Restore(memberConfig(dir, url), o); err != nil {
		t.Fatal(err)
	}
	b := startService(t, dir, url)
	for _, name := range []string{"one", "two"} { // git has them still
		b.push(name)
	}
	wanted(t, admin, 2, "two")
	if after := settled(t, admin); after != before {
		t.Errorf("after the disk was lost:\n%s\nwant\n%s", after, before)
	}
	call[proto.RolloutActRequest, proto.RolloutActReply](t, admin, proto.EndpointRolloutAct, proto.RolloutActRequest{
		Act: proto.RolloutActRelease, Hosts: []proto.HostName{web1},
	})
	b.push("three")
	wanted(t, admin, 3, "three")
	checkPublished(t, jet(t, url, dir), "one", "two", "three")
}
