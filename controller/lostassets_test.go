package controller_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/controller/controllertest"
	"kedge/proto"
)

// vandal deletes streams, with the credentials of the controller.
type vandal struct {
	nats *nats.Conn
	made *nats.Subscription // tells of every stream that is made
	bell *nats.Subscription // tells of every desired state that is put
}

func (c *controllerTest) vandal(t *testing.T, host proto.HostName) *vandal {
	t.Helper()
	nc, err := nats.Connect(c.NATSURL(), nats.UserCredentials(filepath.Join(c.stateDir, "keys", "controller.creds")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	made, err := nc.SubscribeSync("$JS.EVENT.ADVISORY.STREAM.CREATED.*")
	if err != nil {
		t.Fatal(err)
	}
	bell, err := nc.SubscribeSync(proto.DoorbellSubject(host))
	if err != nil {
		t.Fatal(err)
	}
	return &vandal{nats: nc, made: made, bell: bell}
}

func (v *vandal) remove(t *testing.T, stream string) {
	t.Helper()
	js, err := jetstream.New(v.nats)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
}

// mustHear fails the test unless something comes.
func mustHear(t *testing.T, what string, from *nats.Subscription) {
	t.Helper()
	if _, err := from.NextMsg(20 * time.Second); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestWhatNATSLosesWhileConnectedIsMadeAndFilledAgain(t *testing.T) {
	c := start(t)
	web1, one, two := hostName(t, "web1"), toplevel(t, "one"), toplevel(t, "two")
	host := connectHost(t, c.NATSURL(), "web1", c.credentials(t, "web1"))
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
	c.await(t, "serial 1", wants(web1, 1, one))
	before := c.desired(t, web1)
	v := c.vandal(t, web1)

	v.remove(t, proto.StreamDesired)
	c.Look()
	mustHear(t, "the bucket of desired states", v.made)
	mustHear(t, "the desired state", v.bell)
	if got := c.desired(t, web1); got.Assignment.Serial != before.Assignment.Serial || !got.Assignment.Issued.Equal(before.Assignment.Issued) {
		t.Errorf("web1 reads %+v, want %+v as before", got.Assignment, before.Assignment)
	}

	v.remove(t, proto.StreamDesired) // and a push is the first to notice
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: two}})
	c.await(t, "serial 2", wants(web1, 2, two))
	mustHear(t, "the bucket of desired states", v.made)
	mustHear(t, "the desired state", v.bell)
	if got := c.desired(t, web1); got.Assignment.Serial != 2 {
		t.Errorf("web1 reads serial %s, want 2", got.Assignment.Serial)
	}

	for _, stream := range []string{proto.StreamControl, proto.StreamLogs, proto.StreamAudit, proto.StreamStatus, proto.StreamEvents} {
		v.remove(t, stream) // feeds of the last two break off, and are the first to notice
	}
	for range 5 {
		mustHear(t, "a stream", v.made)
	}
	if err := host.PublishStatus(t.Context(), proto.Status{Host: web1, Time: time.Now(), Agent: "9.9.9"}); err != nil {
		t.Fatal(err)
	}
	if _, err := host.PublishEvent(t.Context(), proto.Event{ID: "1", Host: web1, Time: time.Now(), Message: "again"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.AwaitHost(ctx, web1, func(h proto.HostView) bool { return h.Status != nil && h.Status.Agent == "9.9.9" }); err != nil {
		t.Error("the feed of statuses:", err)
	}
}
