package natsd_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

func TestDesiredStateReachesItsHost(t *testing.T) {
	w := newWorld(t)
	fleet, web1 := w.fleet(t), w.host(t, "web1")
	name := hostName(t, "web1")
	awaitRing(t, web1) // for the connection

	if r, err := web1.Desired(t.Context()); !errors.Is(err, bus.ErrNoDesired) {
		t.Fatalf("before anything was published: got %v, %v, want %v", r, err, bus.ErrNoDesired)
	}
	if r, err := fleet.GetDesired(t.Context(), name); !errors.Is(err, bus.ErrNoDesired) {
		t.Fatalf("GetDesired before anything was published: got %v, %v, want %v", r, err, bus.ErrNoDesired)
	}
	var last uint64
	for _, want := range []string{"one", "two", "three"} {
		seq, err := fleet.PutDesired(t.Context(), name, []byte(want), last)
		if err != nil {
			t.Fatal(err)
		}
		awaitRing(t, web1)
		for what, get := range map[string]func() (bus.Raw, error){
			"Desired":    func() (bus.Raw, error) { return web1.Desired(t.Context()) },
			"GetDesired": func() (bus.Raw, error) { return fleet.GetDesired(t.Context(), name) },
		} {
			if r, err := get(); err != nil || string(r.Data) != want || r.Seq != seq {
				t.Fatalf("%s = %q, %d, %v, want %q, %d", what, r.Data, r.Seq, err, want, seq)
			}
		}
		last = seq
	}
}

func TestPutDesiredRefusesWhatDoesNotFollow(t *testing.T) {
	w := newWorld(t)
	fleet, name := w.fleet(t), hostName(t, "web1")
	first, err := fleet.PutDesired(t.Context(), name, []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := fleet.PutDesired(t.Context(), name, []byte("two"), first)
	if err != nil {
		t.Fatal(err)
	}
	for what, last := range map[string]uint64{"as the first": 0, "after an old one": first, "after one to come": second + 1} {
		if seq, err := fleet.PutDesired(t.Context(), name, []byte("late"), last); !errors.Is(err, bus.ErrConflict) {
			t.Errorf("%s: got %d, %v, want %v", what, seq, err, bus.ErrConflict)
		}
	}
	if _, err := fleet.PutDesired(t.Context(), name, make([]byte, proto.MaxDesired+1), second); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("too large: got %v, want %v", err, bus.ErrTooLarge)
	}
	if _, err := fleet.PutDesired(t.Context(), name, make([]byte, proto.MaxDesired), second); err != nil {
		t.Errorf("as large as may be: %v", err)
	}
}

func TestRingIsHeardWithoutAChange(t *testing.T) {
	w := newWorld(t)
	fleet, web1, web2 := w.fleet(t), w.host(t, "web1"), w.host(t, "web2")
	for _, h := range []*bus.Host{web1, web2} {
		awaitRing(t, h)
		if _, err := h.Desired(t.Context()); !errors.Is(err, bus.ErrNoDesired) { // the server knows the subscription now
			t.Fatal(err)
		}
	}
	if err := fleet.Ring(t.Context(), hostName(t, "web1")); err != nil {
		t.Fatal(err)
	}
	awaitRing(t, web1)
	if _, err := web2.Desired(t.Context()); !errors.Is(err, bus.ErrNoDesired) { // a round trip
		t.Fatal(err)
	}
	select {
	case <-web2.Doorbell():
		t.Error("another host's ring was heard")
	default:
	}
}

func TestStatusesBeginWithTheLastOfEveryHost(t *testing.T) {
	w := newWorld(t)
	fleet, web1, web2 := w.fleet(t), w.host(t, "web1"), w.host(t, "web2")
	for _, agent := range []string{"1", "2", "3"} {
		publishStatus(t, web1, "web1", agent)
	}
	publishStatus(t, web2, "web2", "1")

	reports := make(chan bus.StatusReport, 10)
	caughtUp := make(chan struct{})
	run(t, func(ctx context.Context) error {
		return fleet.Statuses(ctx, bus.StatusFeed{
			Status:   func(r bus.StatusReport) { reports <- r },
			CaughtUp: func() { close(caughtUp) },
		})
	})
	receive(t, caughtUp)
	got := map[string]string{}
	for range 2 {
		r := receive(t, reports)
		got[r.Status.Host.String()] = r.Status.Agent
		if since := time.Since(r.Received); since < 0 || since > patience || r.Seq == 0 {
			t.Errorf("%s: received %v ago, sequence number %d", r.Status.Host, since, r.Seq)
		}
	}
	if got["web1"] != "3" || got["web2"] != "1" {
		t.Errorf("the last statuses: got %v", got)
	}
	publishStatus(t, web2, "web2", "2")
	if r := receive(t, reports); r.Status.Agent != "2" {
		t.Errorf("live: got %v", r)
	}
}

func TestAHostCannotSpeakForAnother(t *testing.T) {
	w := newWorld(t)
	fleet, web1, web2 := w.fleet(t), w.host(t, "web1"), w.host(t, "web2")
	publishStatus(t, web1, "web2", "lie")
	publishStatus(t, web2, "web2", "truth")
	reports := make(chan bus.StatusReport, 10)
	run(t, func(ctx context.Context) error {
		return fleet.Statuses(ctx, bus.StatusFeed{Status: func(r bus.StatusReport) { reports <- r }})
	})
	if r := receive(t, reports); r.Status.Agent != "truth" {
		t.Errorf("got %v", r)
	}
}

func TestHeartbeatsAreHeard(t *testing.T) {
	w := newWorld(t)
	fleet, web1 := w.fleet(t), w.host(t, "web1")
	heard := make(chan bus.HeartbeatReport, 10)
	run(t, func(ctx context.Context) error {
		return fleet.Heartbeats(ctx, func(r bus.HeartbeatReport) {
			select {
			case heard <- r:
			default:
			}
		})
	})
	// Whether anybody listens already cannot be known from here.
	for {
		if err := web1.Heartbeat(t.Context(), proto.Heartbeat{Host: hostName(t, "web1"), Time: time.Now(), Serial: 7}); err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-heard:
			if r.Heartbeat.Host.String() != "web1" || r.Heartbeat.Serial != 7 {
				t.Errorf("got %v", r)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestTheAuditIsKept(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	if err := fleet.Audit(t.Context(), proto.AuditEntry{Time: time.Now(), Actor: "eva", Act: proto.ActPublish, Host: hostName(t, "web1")}); err != nil {
		t.Error(err)
	}
	if got := controllerMessages(t, w, proto.StreamAudit); got != 1 {
		t.Errorf("the audit has %d messages, want 1", got)
	}
}

// publishStatus publishes, as h, a status that claims to be of host.
func publishStatus(t *testing.T, h *bus.Host, host, agent string) {
	t.Helper()
	if err := h.PublishStatus(t.Context(), proto.Status{Host: hostName(t, host), Time: time.Now(), Agent: agent}); err != nil {
		t.Fatal(err)
	}
}

func TestDesiredHosts(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	for _, want := range [][]string{nil, {"web1"}, {"db-1", "web1"}} {
		if len(want) > 0 {
			if _, err := fleet.PutDesired(t.Context(), hostName(t, want[0]), []byte("x"), 0); err != nil {
				t.Fatal(err)
			}
		}
		hosts, err := fleet.DesiredHosts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range hosts {
			got = append(got, h.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("hosts = %q, want %q", got, want)
		}
	}
}
