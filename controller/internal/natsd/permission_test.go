package natsd_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"kedge/proto"
	"kedge/proto/bus"
)

func TestAHostReachesItsOwnSubjectsOnly(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	web1, web2 := hostName(t, "web1"), hostName(t, "web2")
	for _, h := range []proto.HostName{web1, web2} {
		if _, err := fleet.PutDesired(t.Context(), h, []byte("for "+h.String()), 0); err != nil {
			t.Fatal(err)
		}
	}
	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	_, neighbour := w.hostFile(t, "web2")

	for _, s := range []string{proto.StatusSubject(web1), proto.EventSubject(web1), proto.LogSubject(web1), proto.GetDesiredSubject(web1)} {
		if _, err := r.Request(s, []byte("x"), patience); err != nil {
			t.Errorf("own %s: %v", s, err)
		}
	}
	for _, s := range []string{proto.HeartbeatSubject(web1), proto.LeaseSubject(web1), proto.RenewSubject(web1)} {
		if err := r.Publish(s, nil); err != nil {
			t.Errorf("own %s: %v", s, err)
		}
	}
	if errs := r.complaints(t); len(errs) > 0 {
		t.Errorf("own subjects: the server complains: %v", errs)
	}

	for _, s := range []string{
		proto.GetDesiredSubject(web2),
		proto.StatusSubject(web2),
		proto.EventSubject(web2),
		proto.LogSubject(web2),
		proto.HeartbeatSubject(web2),
		proto.LeaseSubject(web2),
		proto.RenewSubject(web2),
		proto.DoorbellSubject(web1),
		proto.DoorbellSubject(web2),
		proto.EndpointFleet.Subject(),
		proto.EndpointPublish.Subject(),
		proto.AuditSubject,
		proto.DesiredKeySubject(web1),
		proto.DesiredKeySubject(web2),
		"$KV." + proto.BucketControl + ".leader",
		proto.ControlKeySubject(proto.KeyLeases),
		"$JS.API.STREAM.MSG.GET." + proto.StreamControl,
		"$JS.API.INFO",
		"$JS.API.STREAM.INFO." + proto.StreamDesired,
		"$JS.API.STREAM.PURGE." + proto.StreamStatus,
		"$JS.API.DIRECT.GET." + proto.StreamDesired + "." + proto.DesiredKeySubject(web1),
		"$JS.API.CONSUMER.CREATE." + proto.StreamEvents,
		"$SYS.REQ.SERVER.PING",
		"$SRV.PING",
		"anything",
		proto.InboxRoot + neighbour.PublicKey + ".answer",
	} {
		mustNotPublish(t, r, s)
	}
	for _, s := range []string{
		proto.AllLeases, proto.LeaseSubject(web1), proto.LeaseSubject(web2), proto.AllRenewals, proto.RenewSubject(web1), proto.RenewSubject(web2),
		proto.DoorbellSubject(web2), proto.AllDoorbells, proto.AllStatus, proto.StatusSubject(web2), proto.AllHeartbeats,
		"_INBOX.>", "_INBOX.*.>", proto.InboxRoot + neighbour.PublicKey + ".>", "$KV.>", "kedge.>", "$SYS.>", "$JS.>", ">",
	} {
		mustNotSubscribe(t, r, s)
	}
}

func TestRepliesOfTheServerCannotBeStoredAsDesiredState(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	web1, web2 := hostName(t, "web1"), hostName(t, "web2")
	if _, err := fleet.PutDesired(t.Context(), web1, []byte("for web1"), 0); err != nil {
		t.Fatal(err)
	}
	seq, err := fleet.PutDesired(t.Context(), web2, []byte("for web2"), 0)
	if err != nil {
		t.Fatal(err)
	}
	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	for _, subject := range []string{proto.StatusSubject(web1), proto.EventSubject(web1), proto.LogSubject(web1), proto.GetDesiredSubject(web1)} {
		for _, reply := range []string{
			proto.DesiredKeySubject(web2),
			proto.DoorbellSubject(web2),
			"$KV." + proto.BucketControl + ".leader",
			proto.StatusSubject(web2),
			proto.EventSubject(web2),
			proto.AuditSubject,
			"$JS.API.STREAM.PURGE." + proto.StreamDesired,
			proto.EndpointReconcile.Subject(),
		} {
			if err := r.PublishRequest(subject, reply, []byte("{}")); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A round trip through the same streams: what was sent before is done.
	for _, subject := range []string{proto.StatusSubject(web1), proto.EventSubject(web1), proto.LogSubject(web1), proto.GetDesiredSubject(web1)} {
		if _, err := r.Request(subject, []byte("{}"), patience); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := fleet.GetDesired(t.Context(), web2); err != nil || string(got.Data) != "for web2" || got.Seq != seq {
		t.Errorf("desired state of web2: got %q, %d, %v, want %q, %d", got.Data, got.Seq, err, "for web2", seq)
	}
	if got, err := fleet.GetDesired(t.Context(), web1); err != nil || string(got.Data) != "for web1" {
		t.Errorf("desired state of web1: got %q, %v", got.Data, err)
	}
	if got := controllerMessages(t, w, "KV_"+proto.BucketControl); got != 0 {
		t.Errorf("the controllers' bucket has %d messages", got)
	}
	if got := controllerMessages(t, w, proto.StreamAudit); got != 0 {
		t.Errorf("the audit has %d messages", got)
	}
	if got := controllerMessages(t, w, proto.StreamStatus); got != 1 {
		t.Errorf("%d statuses, want that of web1 only", got)
	}
}

// The server sends the answer where its own doorbells go, with the sequence
// number of the other host's desired state.
func TestAnAnswerToAnotherHostIsOnlyABell(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	web1, web2 := hostName(t, "web1"), hostName(t, "web2")
	seq, err := fleet.PutDesired(t.Context(), web2, []byte("for web2"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.PutDesired(t.Context(), web1, []byte("for web1"), 0); err != nil {
		t.Fatal(err)
	}
	host := w.host(t, "web2")
	awaitRing(t, host) // for the connection
	if _, err := host.Desired(t.Context()); err != nil {
		t.Fatal(err)
	}
	gets := w.eavesdrop(t, strings.Replace(proto.DirectGetDesired, "*", "web2", 1))

	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	if err := r.PublishRequest(proto.GetDesiredSubject(web1), proto.DoorbellSubject(web2), nil); err != nil {
		t.Fatal(err)
	}
	awaitRing(t, host)
	if got, err := host.Desired(t.Context()); err != nil || string(got.Data) != "for web2" || got.Seq != seq {
		t.Errorf("desired state of web2: got %q, %d, %v, want %q, %d", got.Data, got.Seq, err, "for web2", seq)
	}
	if got := gets(); got != 1 {
		t.Errorf("web2 asked %d times: it waited for the number that web1 had sent to it", got)
	}
}

func TestAHostCannotEraseAStream(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	web2 := w.host(t, "web2")
	publishStatus(t, web2, "web2", "1")
	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	for _, rollup := range []string{"all", "sub"} {
		m := nats.NewMsg(proto.StatusSubject(hostName(t, "web1")))
		m.Header.Set("Nats-Rollup", rollup)
		reply, err := r.RequestMsg(m, patience)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(reply.Data), "10111") {
			t.Errorf("rollup %s: got %s, want error 10111", rollup, reply.Data)
		}
	}
	if got := controllerMessages(t, w, proto.StreamStatus); got != 1 {
		t.Errorf("%d statuses, want 1", got)
	}
}

func TestDoorbellsCarryNoData(t *testing.T) {
	w := newWorld(t)
	fleet, name := w.fleet(t), hostName(t, "web1")
	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	bell, err := r.SubscribeSync(proto.DoorbellSubject(name))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.PutDesired(t.Context(), name, []byte("secret"), 0); err != nil {
		t.Fatal(err)
	}
	m, err := bell.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Data) != 0 || m.Header.Get("Nats-Sequence") != "1" || m.Header.Get("Nats-Subject") != proto.DesiredKeySubject(name) {
		t.Errorf("got %q with headers %v, want no data, the key and the sequence number", m.Data, m.Header)
	}
}

func TestRolesAreEnforcedByTheServer(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	mayCall := map[proto.Role][]proto.Role{
		proto.RoleViewer:   {proto.RoleViewer},
		proto.RoleOperator: {proto.RoleViewer, proto.RoleOperator},
		proto.RoleAdmin:    {proto.RoleViewer, proto.RoleOperator, proto.RoleAdmin},
	}
	for role, calls := range mayCall {
		t.Run(string(role), func(t *testing.T) {
			c := connect(t, w.server.ClientURL(), "cli", w.operatorFile(t, role, "eva"))
			awaitConnected(t, c)
			for _, e := range proto.Endpoints() {
				_, err := bus.Call[struct{}, struct{}](t.Context(), c, e, struct{}{})
				if allowed := slices.Contains(calls, e.Role()); allowed && !errors.Is(err, bus.ErrNoResponders) || !allowed && !errors.Is(err, bus.ErrDenied) {
					t.Errorf("%s: got %v, allowed is %v", e, err, allowed)
				}
			}
		})
	}
	file := w.operatorFile(t, proto.RoleAdmin, "eva")
	id := identityIn(t, file)
	r := w.rebel(t, file, id)
	for _, s := range []string{
		proto.StatusSubject(hostName(t, "web1")), proto.GetDesiredSubject(hostName(t, "web1")), proto.DesiredKeySubject(hostName(t, "web1")),
		proto.LeaseSubject(hostName(t, "web1")), proto.ControlKeySubject(proto.KeyLeases),
		"$JS.API.INFO", "$SYS.REQ.SERVER.PING", proto.AuditSubject,
	} {
		mustNotPublish(t, r, s)
	}
	for _, s := range []string{"_INBOX.>", proto.AllAPI, proto.AllStatus, ">"} {
		mustNotSubscribe(t, r, s)
	}
}
