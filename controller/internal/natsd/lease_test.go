package natsd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
	"kedge/proto/bus"
)

// leases grants every lease until the test ends, and says which host asked for
// which deployment.
func leases(t *testing.T, fleet *bus.Fleet) <-chan [2]string {
	t.Helper()
	asked := make(chan [2]string, 100)
	run(t, func(ctx context.Context) error {
		return fleet.Leases(ctx, func(_ context.Context, h proto.HostName, r proto.LeaseRequest) (proto.LeaseReply, error) {
			asked <- [2]string{h.String(), r.Deployment}
			return proto.LeaseReply{Granted: true}, nil
		})
	})
	return asked
}

// mustAcquire asks for a lease until a controller answers, which must grant it.
func mustAcquire(t *testing.T, h *bus.Host, deployment string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		r, err := h.AcquireLease(t.Context(), deployment)
		if err == nil && r.Granted {
			return
		}
		if !errors.Is(err, bus.ErrNoController) {
			t.Fatalf("got %+v, %v", r, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-timeout:
			t.Fatal(err)
		}
	}
}

// The host is the one whom the server let in, whatever the payload, or a header,
// says.
func TestAHostAsksForItsOwnLeaseOnly(t *testing.T) {
	w := newWorld(t)
	asked := leases(t, w.fleet(t))
	mustAcquire(t, w.host(t, "web1"), "1")
	if got, want := receive(t, asked), [2]string{"web1", "1"}; got != want {
		t.Errorf("asked: %v, want %v", got, want)
	}
	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	m := nats.NewMsg(proto.LeaseSubject(hostName(t, "web1")))
	m.Header.Set("Nats-Subject", proto.LeaseSubject(hostName(t, "web2")))
	m.Data = []byte(`{"format":1,"action":"acquire","host":"web2","deployment":"2"}`)
	if _, err := r.RequestMsg(m, patience); err != nil {
		t.Fatal(err)
	}
	if got, want := receive(t, asked), [2]string{"web1", "2"}; got != want {
		t.Errorf("asked: %v, want %v", got, want)
	}
	mustNotPublish(t, r, proto.LeaseSubject(hostName(t, "web2")))
}

// What the controller answers one host cannot be made a request of another, nor a
// desired state, nor anything that is stored.
func TestAnswersAboutLeasesGoNowhereElse(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	web1, web2 := hostName(t, "web1"), hostName(t, "web2")
	asked := leases(t, fleet)
	mustAcquire(t, w.host(t, "web2"), "own")
	receive(t, asked)
	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	replies := []string{
		proto.LeaseSubject(web2), proto.DesiredKeySubject(web2), proto.DoorbellSubject(web2), proto.StatusSubject(web2),
		proto.EventSubject(web2), proto.ControlKeySubject(proto.KeyLeases), proto.AuditSubject,
		"$JS.API.STREAM.PURGE." + proto.StreamControl, proto.EndpointLeaseFree.Subject(),
	}
	for _, reply := range replies {
		for _, subject := range []string{proto.LeaseSubject(web1), proto.StatusSubject(web1), proto.GetDesiredSubject(web1)} {
			if err := r.PublishRequest(subject, reply, []byte(`{"format":1,"action":"release","deployment":"theirs"}`)); err != nil {
				t.Fatal(err)
			}
		}
		// A round trip: what was sent before is done, and the next is let in.
		if _, err := r.Request(proto.LeaseSubject(web1), []byte("{}"), patience); err != nil {
			t.Fatal(err)
		}
	}
	mustAcquire(t, w.host(t, "web2"), "own again")
	for {
		got := receive(t, asked)
		if got == [2]string{"web2", "own again"} {
			break
		}
		if got[0] != "web1" {
			t.Errorf("%s was made to ask for %q", got[0], got[1])
		}
	}
	for stream, want := range map[string]uint64{
		proto.StreamDesired: 0, proto.StreamControl: 0, proto.StreamAudit: 0, proto.StreamEvents: 0, proto.StreamStatus: 1,
	} {
		if got := controllerMessages(t, w, stream); got != want {
			t.Errorf("stream %s has %d messages, want %d", stream, got, want)
		}
	}
}

func TestEachRequestForALeaseGoesToOneController(t *testing.T) {
	w := newWorld(t)
	asked := [2]<-chan [2]string{leases(t, w.fleet(t)), leases(t, w.fleet(t))}
	web1 := w.host(t, "web1")
	const requests = 15
	for range requests {
		mustAcquire(t, web1, "1")
	}
	if got := len(asked[0]) + len(asked[1]); got != requests {
		t.Errorf("%d requests were answered %d times", requests, got)
	}
}

func TestControlKeysAreComparedAndSet(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	key := proto.KeyLeases
	if r, err := fleet.GetControl(t.Context(), key); err != nil || len(r.Data) != 0 || r.Seq != 0 {
		t.Fatalf("nothing there: got %+v, %v", r, err)
	}
	var seqs []uint64
	for _, want := range []string{"one", "two"} {
		before, err := fleet.GetControl(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		seq, err := fleet.PutControl(t.Context(), key, []byte(want), before.Seq)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := fleet.GetControl(t.Context(), key); err != nil || string(r.Data) != want || r.Seq != seq {
			t.Errorf("got %q, %d, %v, want %q, %d", r.Data, r.Seq, err, want, seq)
		}
		seqs = append(seqs, seq)
	}
	for what, last := range map[string]uint64{"as the first": 0, "after an old one": seqs[0], "after one to come": seqs[1] + 1} {
		if seq, err := fleet.PutControl(t.Context(), key, []byte("late"), last); !errors.Is(err, bus.ErrConflict) {
			t.Errorf("%s: got %d, %v, want %v", what, seq, err, bus.ErrConflict)
		}
	}
	if _, err := fleet.PutControl(t.Context(), key, make([]byte, 1001<<10), seqs[1]); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("too large: got %v, want %v", err, bus.ErrTooLarge)
	}
	if r, err := fleet.GetControl(t.Context(), "another"); err != nil || len(r.Data) != 0 {
		t.Errorf("another key: got %+v, %v", r, err)
	}
}

// Somebody with the tools of NATS deletes a key, or the bucket.
func TestControlKeysThatWereDeletedAreMadeAgain(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	key := proto.KeyLeases
	if _, err := fleet.PutControl(t.Context(), key, []byte("one"), 0); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(w.server.ClientURL(), nats.UserCredentials(w.server.ControllerCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), proto.BucketControl)
	if err != nil {
		t.Fatal(err)
	}
	for what, remove := range map[string]func() error{
		"deleted": func() error { return kv.Delete(t.Context(), key) },
		"purged":  func() error { return kv.Purge(t.Context(), key) },
	} {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		r, err := fleet.GetControl(t.Context(), key)
		if err != nil || len(r.Data) != 0 {
			t.Fatalf("%s: got %+v, %v", what, r, err)
		}
		if _, err := fleet.PutControl(t.Context(), key, []byte("again"), r.Seq); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := js.DeleteKeyValue(t.Context(), proto.BucketControl); err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.GetControl(t.Context(), key); !bus.Transient(err) {
		t.Errorf("without the bucket, get: %v", err)
	}
	if _, err := fleet.PutControl(t.Context(), key, []byte("x"), 0); !bus.Transient(err) {
		t.Errorf("without the bucket, put: %v", err)
	}
}
