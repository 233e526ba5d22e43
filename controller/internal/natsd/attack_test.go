package natsd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"kedge/proto"
	"kedge/proto/bus"
)

// TestAViewersAnswersActForNobody: the controller's answer to a viewer, sent on by the
// server, is no call of an admin, and is stored nowhere.
func TestAViewersAnswersActForNobody(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	web1 := hostName(t, "web1")
	seq, err := fleet.PutDesired(t.Context(), web1, []byte("for web1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	control := connect(t, w.server.ClientURL(), "controller", w.server.ControllerCredentials())
	awaitConnected(t, control)
	service := bus.NewService(bus.ServiceOptions{Conn: control, Version: "0.0.1", Log: slog.New(slog.DiscardHandler)})
	acts := make(chan string, 100)
	bus.Handle(service, proto.EndpointFleet, func(context.Context, bus.Caller, proto.FleetRequest) (proto.FleetReply, error) {
		return proto.FleetReply{Version: 42}, nil
	})
	bus.Handle(service, proto.EndpointReconcile, func(_ context.Context, c bus.Caller, _ map[string]any) (struct{}, error) {
		acts <- c.Name
		return struct{}{}, nil
	})
	bus.Handle(service, proto.EndpointHostRevoke, func(_ context.Context, c bus.Caller, _ map[string]any) (struct{}, error) {
		acts <- c.Name
		return struct{}{}, nil
	})
	run(t, service.Run)
	file := w.operatorFile(t, proto.RoleViewer, "mallory")
	callUntilAnswered(t, connectedAs(t, w, file))

	r := w.rebel(t, file, identityIn(t, file))
	for _, reply := range []string{
		proto.EndpointReconcile.Subject(), proto.EndpointHostRevoke.Subject(), proto.DesiredKeySubject(web1), proto.StatusSubject(web1),
		proto.EventSubject(web1), proto.AuditSubject, proto.ControlKeySubject(proto.KeyLeases), "$JS.API.STREAM.PURGE." + proto.StreamDesired,
	} {
		if err := r.PublishRequest(proto.EndpointFleet.Subject(), reply, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // round trips: what was answered before has gone where it goes
		if _, err := r.Request(proto.EndpointFleet.Subject(), []byte("{}"), patience); err != nil {
			t.Fatal(err)
		}
	}
	eva := connectedAs(t, w, w.operatorFile(t, proto.RoleAdmin, "eva"))
	if _, err := bus.Call[struct{}, struct{}](t.Context(), eva, proto.EndpointReconcile, struct{}{}); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, acts); got != "eva" {
		t.Errorf("%q acted", got)
	}
	if got, err := fleet.GetDesired(t.Context(), web1); err != nil || string(got.Data) != "for web1" || got.Seq != seq {
		t.Errorf("desired state: got %q, %d, %v", got.Data, got.Seq, err)
	}
	for _, stream := range []string{proto.StreamStatus, proto.StreamEvents, proto.StreamAudit, proto.StreamControl} {
		if got := controllerMessages(t, w, stream); got != 0 {
			t.Errorf("stream %s has %d messages", stream, got)
		}
	}
}

func connectedAs(t *testing.T, w *world, file string) *bus.Conn {
	t.Helper()
	c := connect(t, w.server.ClientURL(), "cli", file)
	awaitConnected(t, c)
	return c
}

// TestAHostCannotBurnAnothersEvents: a message ID counts for a whole stream, whoever
// used it first. Events have IDs, which are not those.
func TestAHostCannotBurnAnothersEvents(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	web2 := w.host(t, "web2")
	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	m := nats.NewMsg(proto.EventSubject(hostName(t, "web1")))
	m.Data = []byte("{}")
	for range 10 {
		m.Header.Set(nats.MsgIdHdr, event(t, "web2", 1).ID)
		if _, err := r.RequestMsg(m, patience); err != nil {
			t.Fatal(err)
		}
		publishEvent(t, web2, "web2", 1)
	}
	rep, err := fleet.Events(t.Context(), proto.EventsRequest{Host: hostName(t, "web2")})
	if err != nil || len(rep.Events) != 10 {
		t.Errorf("got %d events of web2, %v, want 10", len(rep.Events), err)
	}
}

// TestHeadersOfAHostDoNothing: the server obeys none that would change more than the
// host's own message.
func TestHeadersOfAHostDoNothing(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	web2 := w.host(t, "web2")
	publishEvent(t, web2, "web2", 1)
	publishStatus(t, web2, "web2", "1")
	web1 := hostName(t, "web1")
	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	for _, subject := range []string{proto.StatusSubject(web1), proto.EventSubject(web1), proto.LogSubject(web1)} {
		for name, value := range map[string]string{
			"Nats-Rollup": "all", "Nats-TTL": "1s", "Nats-Incr": "+1", "Nats-Batch-Id": "x",
			"Nats-Schedule": "@every 1s", "Nats-Expected-Stream": proto.StreamDesired,
		} {
			m := nats.NewMsg(subject)
			m.Header.Set(name, value)
			m.Header.Set("Nats-Batch-Sequence", "1")
			m.Header.Set("Nats-Schedule-Target", proto.StatusSubject(hostName(t, "web2")))
			if name != "Nats-Batch-Id" {
				m.Header.Del("Nats-Batch-Sequence")
			}
			reply, err := r.RequestMsg(m, patience)
			if err != nil || !strings.Contains(string(reply.Data), `"error"`) {
				t.Errorf("%s with %s: got %s, %v, want an error", subject, name, reply.Data, err)
			}
		}
	}
	for stream, want := range map[string]uint64{proto.StreamStatus: 1, proto.StreamEvents: 1, proto.StreamLogs: 0} {
		if got := controllerMessages(t, w, stream); got != want {
			t.Errorf("stream %s has %d messages, want %d", stream, got, want)
		}
	}
}

// TestOversizedMessagesAreRefused: by the server, which ends the connection of a host
// that says more than a host may; and by a stream, whose messages are smaller.
func TestOversizedMessagesAreRefused(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	for _, subject := range []string{proto.StatusSubject(hostName(t, "web1")), proto.EventSubject(hostName(t, "web1"))} {
		reply, err := r.Request(subject, make([]byte, 60<<10), patience)
		if err != nil || !strings.Contains(string(reply.Data), "10054") {
			t.Errorf("60 KiB on %s: got %s, %v, want error 10054", subject, reply.Data, err)
		}
	}
	huge := make([]byte, 65<<10)
	if err := r.Publish(proto.HeartbeatSubject(hostName(t, "web1")), huge); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("a client that has manners: got %v, want %v", err, nats.ErrMaxPayload)
	}
	if _, err := fmt.Fprintf(r.wire, "PUB %s %d\r\n%s\r\n", proto.HeartbeatSubject(hostName(t, "web1")), len(huge), huge); err != nil {
		t.Log(err) // the server need not read all of it
	}
	receive(t, r.lost)
	if err := r.LastError(); err == nil || !strings.Contains(strings.ToLower(err.Error()), "maximum payload") {
		t.Errorf("the connection ended with %v", err)
	}
	if got := controllerMessages(t, w, proto.StreamStatus) + controllerMessages(t, w, proto.StreamEvents); got != 0 {
		t.Errorf("%d messages are stored", got)
	}
}

// TestWhoNeverHadCredentialsIsNotLetIn: no password, no key, a JWT without its key, or
// one that somebody else signed.
func TestWhoNeverHadCredentialsIsNotLetIn(t *testing.T) {
	w := newWorld(t)
	file, _ := w.hostFile(t, "web1")
	stolen, err := bus.ReadToken(file, "") // a JWT is no secret
	if err != nil {
		t.Fatal(err)
	}
	thief, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	withoutKey, err := bus.FormatCredentials(stolen.JWT, thief.Seed)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, _ := newWorld(t).hostFile(t, "web1")
	for name, option := range map[string]nats.Option{
		"nothing":                nats.Name("x"),
		"a password":             nats.UserInfo("admin", "admin"),
		"a token":                nats.Token("x"),
		"a JWT without its key":  nats.UserCredentials(writeFile(t, "x.creds", withoutKey)),
		"another controller's":   nats.UserCredentials(elsewhere),
		"the name of an account": nats.UserInfo("SYS", ""),
	} {
		nc, err := nats.Connect(w.server.ClientURL(), option)
		if nc != nil {
			nc.Close()
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: got %v, want %v", name, err, nats.ErrAuthorization)
		}
	}
}
