package proto_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

// A message is one example of a message, with how it is written and read.
type message struct {
	name   string // of its golden file: the type's, and which example of it
	value  any
	encode func() ([]byte, error)
	decode func([]byte) (any, error)
}

func example[T any](name string, v T, encode func(T) ([]byte, error), decode func([]byte) (T, error)) message {
	return message{
		name:   name,
		value:  v,
		encode: func() ([]byte, error) { return encode(v) },
		decode: func(b []byte) (any, error) { return decode(b) },
	}
}

// call is an example of a message that has no encoding of its own.
func call[T any](name string, v T) message {
	return example(name, v,
		func(v T) ([]byte, error) { return json.Marshal(v) },
		func(b []byte) (v T, err error) { return v, json.Unmarshal(b, &v) })
}

// statement is an example of what travels signed: name is its payload.
func statement[T any](name string, v T, typ proto.PayloadType, key proto.SecretKey,
	sign func(T, ...proto.SecretKey) (proto.Envelope, error), open func(proto.Envelope) (T, error),
) message {
	return example(name, v,
		func(v T) ([]byte, error) {
			e, err := sign(v, key)
			return e.Payload, err
		},
		func(payload []byte) (T, error) { return open(proto.Seal(typ, payload, key)) })
}

// messages returns an example of every message, and of every way in which one
// is seldom seen.
func messages(t testing.TB) []message {
	t.Helper()
	tr := trust(t)
	openRelease := func(e proto.Envelope) (proto.Release, error) { return proto.OpenRelease(e, tr.ReleaseKeys, 1) }
	openAssignment := func(e proto.Envelope) (proto.Assignment, error) { return proto.OpenAssignment(e, tr.ControllerKeys) }
	openWithdrawals := func(e proto.Envelope) (proto.Withdrawals, error) { return proto.OpenWithdrawals(e, tr.ReleaseKeys) }

	rel := release(t)
	rel.Format = proto.Format1
	d := desired(t)
	as := assignment(t, d.Release)
	as.Format = proto.Format1
	asBoot := as
	asBoot.Mode, asBoot.Caches = proto.ModeBoot, nil
	asPrivate := as
	asPrivate.CacheToken = cacheToken(t)
	withdrawals := proto.Withdrawals{Format: proto.Format1, Serial: 2, Issued: issued, Releases: []proto.Digest{as.Release}}
	reset := proto.Reset{Format: proto.Format1, Host: rel.Host, Challenge: challenge, Issued: issued, Serial: 7, WithdrawalSerial: 2}
	openReset := func(e proto.Envelope) (proto.Reset, error) { return proto.OpenReset(e, tr.ControllerKeys) }
	withdrawing := d
	withdrawing.Withdrawals = sealedWithdrawals(t, 2, as.Release)

	resetting := withdrawing
	resetting.Reset = sealedReset(t, reset)

	status := exampleStatus(t)
	event := exampleEvent(t)
	return append([]message{
		statement("release", rel, proto.PayloadRelease, releaseKey(t), proto.Release.Sign, openRelease),
		statement("assignment", as, proto.PayloadAssignment, controllerKey(t), proto.Assignment.Sign, openAssignment),
		statement("assignment.boot", asBoot, proto.PayloadAssignment, controllerKey(t), proto.Assignment.Sign, openAssignment),
		statement("assignment.private", asPrivate, proto.PayloadAssignment, controllerKey(t), proto.Assignment.Sign, openAssignment),
		statement("withdrawals", withdrawals, proto.PayloadWithdrawals, releaseKey(t), proto.Withdrawals.Sign, openWithdrawals),
		statement("reset", reset, proto.PayloadReset, controllerKey(t), proto.Reset.Sign, openReset),
		example("desired.resetting", resetting, proto.Desired.Encode, proto.ParseDesired),
		call("envelope.reset", *resetting.Reset),
		call("envelope.release", d.Release),
		call("envelope.assignment", d.Assignment),
		call("envelope.withdrawals", *withdrawing.Withdrawals),
		example("desired", d, proto.Desired.Encode, proto.ParseDesired),
		example("desired.withdrawing", withdrawing, proto.Desired.Encode, proto.ParseDesired),
		example("status", status, proto.Status.Encode, proto.ParseStatus),
		example("status.new-host", proto.Status{Format: proto.Format1, Host: status.Host, Time: issued, Agent: "0.1.0", BootID: status.BootID}, proto.Status.Encode, proto.ParseStatus),
		example("event", event, proto.Event.Encode, proto.ParseEvent),
		example("log", exampleLog(t), proto.Log.Encode, proto.ParseLog),
		example("heartbeat", proto.Heartbeat{Format: proto.Format1, Host: status.Host, Time: issued, Serial: 7, BootID: status.BootID}, proto.Heartbeat.Encode, proto.ParseHeartbeat),
		example("audit-entry", proto.AuditEntry{
			Format: proto.Format1, Time: issued, Actor: "ada", Act: proto.ActPublish, Host: status.Host, Serial: 7,
			Toplevel: toplevel(t), Revision: rel.Revision, Message: "published by hand",
		}, proto.AuditEntry.Encode, proto.ParseAuditEntry),
		example("lease-request", proto.LeaseRequest{Format: proto.Format1, Action: proto.LeaseAcquire, Deployment: "7-1"}, proto.LeaseRequest.Encode, proto.ParseLeaseRequest),
		example("lease-request.release", proto.LeaseRequest{Format: proto.Format1, Action: proto.LeaseRelease}, proto.LeaseRequest.Encode, proto.ParseLeaseRequest),
		example("lease-reply", proto.LeaseReply{
			Format: proto.Format1, Granted: true, Since: issued, Expires: issued.Add(time.Hour),
		}, proto.LeaseReply.Encode, proto.ParseLeaseReply),
		example("lease-reply.refused", proto.LeaseReply{
			Format: proto.Format1, Reason: proto.ReasonNoLease, Message: "1 host may reboot at a time, and 1 does",
		}, proto.LeaseReply.Encode, proto.ParseLeaseReply),
		example("renew-request", proto.RenewRequest{
			Format: proto.Format1, PublicKey: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
			Expires: issued.Add(24 * time.Hour), Instance: "3f25",
		}, proto.RenewRequest.Encode, proto.ParseRenewRequest),
		example("renew-reply", proto.RenewReply{
			Format: proto.Format1, JWT: "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ", Expires: issued.Add(30 * 24 * time.Hour),
		}, proto.RenewReply.Encode, proto.ParseRenewReply),
		example("renew-reply.good", proto.RenewReply{Format: proto.Format1}, proto.RenewReply.Encode, proto.ParseRenewReply),
		example("enroll-challenge", proto.EnrollChallenge{Format: proto.Format1, Nonce: "AAAA"}, proto.EnrollChallenge.Encode, proto.ParseEnrollChallenge),
		example("enroll-request", proto.EnrollRequest{
			Format: proto.Format1, Nonce: "AAAA", Host: status.Host, PublicKey: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
			Token: "web1.ABCDEFGHIJKLMNOPQRSTUVWXYZ", Instance: "3f25", Signature: []byte("signature"),
		}, proto.EnrollRequest.Encode, proto.ParseEnrollRequest),
		example("enroll-reply", proto.EnrollReply{
			Format: proto.Format1, Expires: issued.Add(30 * 24 * time.Hour), HostAddReply: proto.HostAddReply{
				JWT: "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ", ReleaseKeys: []proto.PublicKey{releaseKey(t).Public()},
				ControllerKeys: []proto.PublicKey{controllerKey(t).Public()}, CacheKeys: []string{nixPublic},
				Servers: []string{"tls://build:4222"}, Caches: []string{"https://build/cache/"},
			},
		}, proto.EnrollReply.Encode, proto.ParseEnrollReply),
		call("floor", proto.Floor{Serial: 7, Issued: issued, Latest: issued.Add(time.Minute), Withdrawn: []proto.Digest{as.Release}, WithdrawalSerial: 2}),
	}, calls(t)...)
}

// calls returns an example of every message of the operator API.
func calls(t testing.TB) []message {
	t.Helper()
	web1, status := host(t, "web1"), exampleStatus(t)
	revision := parsed(t, proto.ParseRevision, revisionText)
	hostKey := proto.HostKey{
		PublicKey: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", Enrolled: issued, By: "ada", From: "192.0.2.7",
		Expires: issued.Add(30 * 24 * time.Hour),
	}
	operator := proto.Operator{
		Name: "eva", Role: proto.RoleOperator, PublicKey: hostKey.PublicKey, Added: issued, By: "ada", Expires: issued.Add(time.Hour),
		Revoked: issued.Add(time.Minute), RevokedBy: "ada",
	}
	revoked := hostKey
	revoked.Revoked, revoked.RevokedBy = issued.Add(time.Hour), "eva"
	view := proto.HostView{
		Host: web1, Channel: "main",
		Want:   proto.Target{Serial: 7, Toplevel: toplevel(t), Revision: revision, Published: issued},
		Status: &status, Seen: issued,
		Key:     &hostKey,
		Rival:   &proto.Rival{Seen: issued, Message: "two machines take turns"},
		Problem: &proto.Problem{Reason: proto.ReasonBuildFailed, Message: "builder failed with exit code 3", Revision: revision, Time: issued},
		Changes: &proto.Changes{
			From: toplevel(t), To: toplevel(t), Size: -4096, Added: 1, Removed: 2, Upgraded: 3, Downgraded: 4, Changed: 5, Boot: []string{"kernel"},
			Packages: []proto.PackageChange{{Name: "linux", Kind: proto.ChangeUpgraded, From: []string{"6.12.1"}, To: []string{"6.12.8"}, Size: 4096}},
		},
		Waits: &proto.RolloutWait{For: proto.ReasonAwaitingApproval, Message: "wave web waits for an approval"},
	}
	signed := desired(t)
	view.Want.Release = proto.DigestOf(signed.Release.Payload)
	source := proto.SourceStatus{
		Channel: "main", URL: "ssh://git@forge/fleet.git", Branch: "main", Revision: revision, Built: revision, Checked: issued, Working: true,
		Error: "connection refused", Reason: proto.ReasonSourceUnreachable,
		PushedOver: &proto.ForcePush{Revision: revision, Over: revision, Time: issued},
	}
	bearer := proto.Operator{
		Name: "grafana", Role: proto.RoleViewer, TokenHash: strings.Repeat("3f", 32), Added: issued, By: "ada", Expires: issued.Add(time.Hour),
	}
	return append(rolloutCalls(t),
		call("fleet-request", proto.FleetRequest{After: 41, Wait: 30 * time.Second}),
		call("fleet-reply", proto.FleetReply{
			Version: 42, Hosts: []proto.HostView{{Host: host(t, "db1"), Silent: true}, view}, Sources: []proto.SourceStatus{source},
			Rollouts: []proto.RolloutView{rolloutView(t)},
		}),
		call("fleet-request.page", proto.FleetRequest{Limit: 2, Continue: web1}),
		call("fleet-reply.page", proto.FleetReply{Version: 42, Hosts: []proto.HostView{{Host: web1}}, Continue: web1}),
		call("host-request", proto.HostRequest{Host: web1, After: 41, Wait: time.Second}),
		call("host-reply", proto.HostReply{Version: 42, Host: view}),
		call("build-log-request", proto.BuildLogRequest{Channel: "main", Revision: revision, After: 41, Wait: time.Second}),
		call("build-log-reply", proto.BuildLogReply{Channel: "main", Revision: revision, Text: "bash-5.2> compiling\n", Next: 61, Ended: true}),
		call("events-request", proto.EventsRequest{After: 9, Host: web1, Limit: 50, Last: true, Wait: time.Second}),
		call("events-request.all", proto.EventsRequest{}),
		call("events-reply", proto.EventsReply{Events: []proto.NumberedEvent{{Seq: 10, Event: exampleEvent(t)}}, Next: 10}),
		call("host-log-request", proto.HostLogRequest{Host: web1, Deployment: "7-1"}),
		call("host-log-reply", proto.HostLogReply{Host: web1, Deployment: "7-1", Runs: []proto.HostLogRun{{
			Toplevel: toplevel(t), Phase: proto.PhaseActivating, Mode: proto.ModeTest, Time: issued, Text: exampleLog(t).Text, Cut: true,
		}}}),
		call("reconcile-request", proto.ReconcileRequest{Hosts: []proto.HostName{web1}}),
		call("reconcile-reply", proto.ReconcileReply{Sources: []proto.SourceStatus{source}, Time: issued.Add(time.Second)}),
		call("host-add-request", proto.HostAddRequest{Host: web1, PublicKey: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"}),
		call("host-add-reply", proto.HostAddReply{
			JWT:            "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ",
			ReleaseKeys:    []proto.PublicKey{releaseKey(t).Public()},
			ControllerKeys: []proto.PublicKey{controllerKey(t).Public()},
			CacheKeys:      []string{nixPublic},
			Servers:        []string{"tls://build:4222"},
			Caches:         []string{"https://build/cache/"},
			Pins:           []proto.Pin{pin(t)},

			ReleaseThreshold: 2,
			RenewURLs:        []string{"https://build/enroll"},
		}),
		call("host-revoke-request", proto.HostRevokeRequest{Host: web1}),
		call("host-revoke-reply", proto.HostRevokeReply{Key: revoked}),
		example("access", proto.Access{Format: proto.Format1, Servers: []string{"tls://127.0.0.1:4222"}, Pins: []proto.Pin{pin(t)}},
			proto.Access.Encode, proto.ParseAccess),
		call("host-token-request", proto.HostTokenRequest{Host: web1, Hash: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef", For: time.Hour}),
		call("host-token-reply", proto.HostTokenReply{Expires: issued.Add(time.Hour), URLs: []string{"https://build/enroll"}, Pins: []proto.Pin{pin(t)}}),
		call("operator-add-request", proto.OperatorAddRequest{Name: "eva", Role: proto.RoleOperator, PublicKey: operator.PublicKey, For: time.Hour}),
		call("operator-token-request", proto.OperatorTokenRequest{Name: "grafana", Role: proto.RoleViewer, Hash: bearer.TokenHash, For: time.Hour}),
		call("operator-token-reply", proto.OperatorTokenReply{Operator: bearer, URLs: []string{"https://build.example/api/v1"}, Pins: []proto.Pin{pin(t)}}),
		call("operator-add-reply", proto.OperatorAddReply{JWT: "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ", Operator: operator, Access: proto.Access{Format: proto.Format1, Servers: []string{"tls://build:4222"}, Pins: []proto.Pin{pin(t)}}}),
		call("operator-list-request", proto.OperatorListRequest{}),
		call("operator-list-reply", proto.OperatorListReply{Operators: []proto.Operator{operator, bearer}}),
		call("operator-revoke-request", proto.OperatorRevokeRequest{Name: "eva"}),
		call("operator-revoke-reply", proto.OperatorRevokeReply{Operator: operator, Others: []proto.Operator{bearer}}),
		call("external-config-request", proto.ExternalConfigRequest{SelfSigned: true}),
		call("external-config-reply", proto.ExternalConfigReply{Text: "operator: …"}),
		call("audit-request", proto.AuditRequest{After: 9, Limit: 50, Last: true}),
		call("audit-reply", proto.AuditReply{Entries: []proto.NumberedEntry{{Seq: 10, Entry: proto.AuditEntry{
			Format: proto.Format1, Time: issued, Actor: "ada", Key: operator.PublicKey, Act: proto.ActHostRevoke, From: "192.0.2.7", Host: web1,
		}}}, Next: 10}),
		call("lease-list-request", proto.LeaseListRequest{}),
		call("lease-list-reply", proto.LeaseListReply{Slots: 2, Leases: []proto.LeaseHolder{
			{Host: web1, Deployment: "7-1", Since: issued, Expires: issued.Add(time.Hour), Seen: issued.Add(time.Second)},
			{Host: host(t, "db1"), Since: issued.Add(time.Minute), Silent: true},
		}}),
		call("lease-free-request", proto.LeaseFreeRequest{Host: web1}),
		call("lease-free-reply", proto.LeaseFreeReply{Freed: proto.LeaseHolder{Host: web1, Deployment: "7-1", Since: issued, Silent: true}}),
		call("withdrawals-request", proto.WithdrawalsRequest{}),
		call("withdrawals-reply", proto.WithdrawalsReply{List: sealedWithdrawals(t, 2, release(t).Closure)}),
		call("withdraw-request", proto.WithdrawRequest{List: *sealedWithdrawals(t, 2, release(t).Closure)}),
		call("withdraw-reply", proto.WithdrawReply{Serial: 2, Hosts: []proto.HostName{web1}}),
		call("host-reset-request", proto.HostResetRequest{Host: web1, Reset: sealedReset(t, proto.Reset{Host: web1, Challenge: challenge, Issued: issued, Serial: 7})}),
		call("host-reset-reply", proto.HostResetReply{Serial: 7}),
		call("key-status-request", proto.KeyStatusRequest{}),
		call("key-status-reply", proto.KeyStatusReply{Hosts: 2, Keys: []proto.KeyStatus{
			{Key: releaseKey(t).Public(), Role: proto.KeyRelease, Held: true, Unlisted: true, Trusted: 1, Lacking: []proto.HostName{web1}, Needed: []proto.HostName{web1}},
			{Key: controllerKey(t).Public(), Role: proto.KeyController, Spare: true, Trusted: 2},
		}}),
		call("key-add-request", proto.KeyAddRequest{Role: proto.KeyController}),
		call("key-add-reply", proto.KeyAddReply{Key: controllerKey(t).Public()}),
		call("key-retire-request", proto.KeyRetireRequest{Name: "controller-1", Force: true}),
		call("key-retire-reply", proto.KeyRetireReply{Needed: []proto.HostName{web1}}),
		call("publish-request.signed", proto.PublishRequest{Targets: []proto.PublishTarget{{
			Mode: proto.ModeBoot, Release: &signed.Release, Assignment: &signed.Assignment, Downgrade: true,
		}}}),
		call("publish-request", proto.PublishRequest{Targets: []proto.PublishTarget{{Host: web1, Toplevel: toplevel(t)}}}),
		call("publish-reply", proto.PublishReply{Published: []proto.Published{{Host: web1, Serial: 8}}}),
	)
}

// exampleStatus is the status of a host whose newest deployment was rolled
// back.
func exampleStatus(t testing.TB) proto.Status {
	t.Helper()
	revision := parsed(t, proto.ParseRevision, revisionText)
	other := parsed(t, proto.ParseStorePath, otherText)
	return proto.Status{
		Format: proto.Format1, Host: host(t, "web1"), Time: issued, Agent: "0.1.0", BootID: "3f2504e0-4f89-11d3-9a0c-0305e82c3301", Serial: 7, Floor: 7, Refused: 8,
		Systems: proto.Systems{Current: other, Booted: other, Profile: other, Proven: other, Revision: revision, Generation: 12, Specialisation: "docked"},
		Deployment: proto.DeploymentStatus{
			ID: "7-1", Serial: 7, Toplevel: toplevel(t), Revision: revision, Specialisation: "docked",
			Phase: proto.PhaseRolledBack, Verdict: proto.VerdictRolledBack, Reason: proto.ReasonUnitsFailed,
			Message: "nginx.service failed", Started: issued.Add(-time.Minute), Since: issued,
			Failed: []proto.FailedUnit{{Name: "nginx.service", Log: []string{"bind() to 0.0.0.0:80 failed", "exited with code 1"}}},
			Reboot: []string{"kernel", "initrd"},
			Checks: []proto.CheckResult{
				{Name: "web", Required: true, Message: "http://localhost/: status 502 Bad Gateway", Time: issued, Duration: 12 * time.Millisecond},
				{Name: "mail", Passed: true, Time: issued, Duration: time.Millisecond},
			},
		},
		Trust: trust(t).Status(), Challenge: challenge,
		Conditions: []proto.Condition{
			{Type: proto.ConditionReady, Status: proto.StatusFalse, Reason: proto.ReasonGaveUp, Message: "waits for a new assignment", Since: issued},
			{Type: proto.ConditionConnected, Status: proto.StatusTrue, Reason: proto.ReasonConnected, Since: issued.Add(-time.Hour)},
			{Type: proto.ConditionDrifted, Status: proto.StatusUnknown},
		},
	}
}

func exampleEvent(t testing.TB) proto.Event {
	t.Helper()
	return proto.Event{
		Format: proto.Format1, ID: "7-1/rolled-back", Host: host(t, "web1"), Time: issued, Deployment: "7-1", Serial: 7,
		Revision: parsed(t, proto.ParseRevision, revisionText), Toplevel: toplevel(t),
		Phase: proto.PhaseRolledBack, Reason: proto.ReasonUnitsFailed, Message: "nginx.service failed",
		Failed: []proto.FailedUnit{{Name: "nginx.service", Log: []string{"exited with code 1"}}},
	}
}

func exampleLog(t testing.TB) proto.Log {
	t.Helper()
	return proto.Log{
		Format: proto.Format1, Host: host(t, "web1"), Deployment: "7-1", Toplevel: toplevel(t), Phase: proto.PhaseActivating, Mode: proto.ModeTest,
		Time: issued, Part: 2, Parts: 3, Text: "warning: the following units failed: nginx.service\n", Cut: true,
	}
}
