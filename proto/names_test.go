package proto_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"kedge/proto"
)

// Every name on the wire. Changing one is a new version of the protocol.
func TestNamesOnTheWire(t *testing.T) {
	h := host(t, "web1")
	for _, c := range []struct{ what, got, want string }{
		{"key of a desired state", proto.DesiredKeySubject(h), "$KV.kedge-desired.web1"},
		{"doorbell", proto.DoorbellSubject(h), "kedge.v1.desired.web1"},
		{"request for the desired state", proto.GetDesiredSubject(h), "kedge.v1.get.desired.web1"},
		{"status", proto.StatusSubject(h), "kedge.v1.status.web1"},
		{"event", proto.EventSubject(h), "kedge.v1.event.web1"},
		{"log", proto.LogSubject(h), "kedge.v1.log.web1"},
		{"heartbeat", proto.HeartbeatSubject(h), "kedge.v1.hb.web1"},
		{"lease", proto.LeaseSubject(h), "kedge.v1.lease.web1"},
		{"renewal", proto.RenewSubject(h), "kedge.v1.renew.web1"},
		{"key of the leases", proto.ControlKeySubject(proto.KeyLeases), "$KV.kedge-control.reboot-leases"},
		{"inboxes", proto.InboxRoot, "_INBOX."},
		{"all doorbells", proto.AllDoorbells, "kedge.v1.desired.*"},
		{"all requests for desired states", proto.AllGetDesired, "kedge.v1.get.desired.*"},
		{"all statuses", proto.AllStatus, "kedge.v1.status.*"},
		{"all events", proto.AllEvents, "kedge.v1.event.*"},
		{"all logs", proto.AllLogs, "kedge.v1.log.*"},
		{"all heartbeats", proto.AllHeartbeats, "kedge.v1.hb.*"},
		{"all leases", proto.AllLeases, "kedge.v1.lease.*"},
		{"all renewals", proto.AllRenewals, "kedge.v1.renew.*"},
		{"all of the audit", proto.AllAudit, "kedge.v1.audit.>"},
		{"all of the API", proto.AllAPI, "kedge.v1.api.>"},
		{"keys of desired states", proto.AllDesiredKeys, "$KV.kedge-desired.*"},
		{"direct get", proto.DirectGetDesired, "$JS.API.DIRECT.GET.KV_kedge-desired.$KV.kedge-desired.*"},
		{"where the server rings", proto.DoorbellTemplate, "kedge.v1.desired.{{wildcard(1)}}"},
		{"bucket of desired states", proto.BucketDesired, "kedge-desired"},
		{"bucket of the controllers", proto.BucketControl, "kedge-control"},
		{"stream of desired states", proto.StreamDesired, "KV_kedge-desired"},
		{"stream of the controllers", proto.StreamControl, "KV_kedge-control"},
		{"stream of statuses", proto.StreamStatus, "KEDGE_STATUS"},
		{"stream of events", proto.StreamEvents, "KEDGE_EVENTS"},
		{"stream of logs", proto.StreamLogs, "KEDGE_LOGS"},
		{"stream of the audit", proto.StreamAudit, "KEDGE_AUDIT"},
		{"consumer of events", proto.ConsumerEvents, "kedge-controller"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, c.got, c.want)
		}
	}
}

func TestHostOfSubject(t *testing.T) {
	h := host(t, "web1")
	for _, s := range []string{
		proto.StatusSubject(h), proto.EventSubject(h), proto.LogSubject(h), proto.HeartbeatSubject(h),
		proto.LeaseSubject(h), proto.RenewSubject(h), proto.DoorbellSubject(h), proto.GetDesiredSubject(h),
	} {
		if got, err := proto.HostOfSubject(s); err != nil || got != h {
			t.Errorf("host of %s: got %v, %v, want %s", s, got, err, h)
		}
	}
	for _, s := range []string{"", ".", "web1", "kedge.v1.status.", "kedge.v1.status.*", "kedge.v1.status.Web1", "other.v1.status.web1", "kedge.v2.status.web1"} {
		if got, err := proto.HostOfSubject(s); !errors.Is(err, proto.ErrInvalidHostName) {
			t.Errorf("host of %q: got %v, error %v, want %v", s, got, err, proto.ErrInvalidHostName)
		}
	}
}

func TestEachRoleMayCallWhatTheOnesBelowItMay(t *testing.T) {
	for _, c := range []struct {
		role proto.Role
		want []string
	}{
		{proto.RoleViewer, []string{"fleet", "host", "events", "host-log", "lease-list", "withdrawals", "key-status", "audit", "build-log", "rollout-list", "rollout-show", "rollout-plan"}},
		{proto.RoleOperator, []string{"fleet", "host", "events", "host-log", "lease-list", "withdrawals", "key-status", "audit", "build-log", "rollout-list", "rollout-show", "rollout-plan", "reconcile", "rollout-act"}},
		{proto.RoleAdmin, []string{
			"fleet", "host", "events", "host-log", "lease-list", "withdrawals", "key-status", "audit", "build-log", "rollout-list", "rollout-show", "rollout-plan", "reconcile", "rollout-act",
			"host-add", "host-revoke", "host-token", "host-reset", "operator-add", "operator-token", "operator-list", "operator-revoke", "nats-config",
			"publish", "withdraw", "key-add", "key-retire", "lease-free",
		}},
		{"stranger", nil},
		{"", nil},
	} {
		var got []string
		for _, call := range proto.Endpoints() {
			if slices.ContainsFunc(c.role.Subjects(), func(pattern string) bool {
				return strings.HasPrefix(call.Subject(), strings.TrimSuffix(pattern, ">"))
			}) {
				got = append(got, call.Name())
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("role %q: may call %v, want %v", c.role, got, c.want)
		}
	}
	if got, want := proto.EndpointFleet.Subject(), "kedge.v1.api.viewer.fleet"; got != want {
		t.Errorf("subject of the fleet: got %s, want %s", got, want)
	}
}
