package natsd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// event returns the n-th event of host.
func event(t *testing.T, host string, n int) proto.Event {
	t.Helper()
	return proto.Event{ID: fmt.Sprint(n), Host: hostName(t, host), Time: time.Now(), Message: "m"}
}

func TestEventsArePagedBySequenceNumber(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	web1, web2 := w.host(t, "web1"), w.host(t, "web2")
	for n := range 10 { // web1 has the odd numbers, web2 the even ones
		publishEvent(t, web1, "web1", n)
		publishEvent(t, web2, "web2", n)
	}
	tests := []struct {
		name string
		req  proto.EventsRequest
		want []uint64
		next uint64
	}{
		{"everything", proto.EventsRequest{}, numbers(1, 20, 1), 20},
		{"a page", proto.EventsRequest{Limit: 3}, numbers(1, 3, 1), 3},
		{"the next page", proto.EventsRequest{After: 3, Limit: 3}, numbers(4, 6, 1), 6},
		{"the end", proto.EventsRequest{After: 18, Limit: 5}, numbers(19, 20, 1), 20},
		{"after the end", proto.EventsRequest{After: 20}, nil, 20},
		{"after a stream that was made anew", proto.EventsRequest{After: 1000}, nil, 20},
		{"one host", proto.EventsRequest{Host: hostName(t, "web2")}, numbers(2, 20, 2), 20},
		{"a page of one host", proto.EventsRequest{Host: hostName(t, "web1"), After: 5, Limit: 2}, []uint64{7, 9}, 9},
		{"a host without events", proto.EventsRequest{Host: hostName(t, "db1")}, nil, 0},
		{"the last", proto.EventsRequest{Last: true, Limit: 4}, numbers(17, 20, 1), 20},
		{"the last of more than there are", proto.EventsRequest{Last: true, Limit: 400}, numbers(1, 20, 1), 20},
		{"the last of one host", proto.EventsRequest{Last: true, Limit: 2, Host: hostName(t, "web1")}, []uint64{17, 19}, 20},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rep, err := fleet.Events(t.Context(), test.req)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, e := range rep.Events {
				got = append(got, e.Seq)
			}
			if !slices.Equal(got, test.want) || rep.Next != test.next {
				t.Errorf("Events(%+v) = %v, next %d, want %v, next %d", test.req, got, rep.Next, test.want, test.next)
			}
		})
	}
}

func TestEventsWaitsForTheFirst(t *testing.T) {
	w := newWorld(t)
	fleet, web1 := w.fleet(t), w.host(t, "web1")
	got := make(chan proto.EventsReply)
	run(t, func(ctx context.Context) error {
		rep, err := fleet.Events(ctx, proto.EventsRequest{Wait: patience})
		got <- rep
		return err
	})
	publishEvent(t, web1, "web1", 1)
	if rep := receive(t, got); len(rep.Events) != 1 || rep.Next != 1 {
		t.Errorf("got %v", rep)
	}
	started := time.Now()
	rep, err := fleet.Events(t.Context(), proto.EventsRequest{After: 1, Wait: 50 * time.Millisecond})
	if err != nil || len(rep.Events) != 0 || rep.Next != 1 {
		t.Errorf("got %v, %v", rep, err)
	}
	if took := time.Since(started); took < 25*time.Millisecond || took > patience/2 {
		t.Errorf("waited %v", took)
	}
}

func TestEventsOfOneHostAreCapped(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	web1, web2 := w.host(t, "web1"), w.host(t, "web2")
	publishEvent(t, web2, "web2", 0)
	for n := range 600 {
		publishEvent(t, web1, "web1", n)
	}
	rep, err := fleet.Events(t.Context(), proto.EventsRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Events) != 501 || rep.Events[0].Event.Host.String() != "web2" || rep.Events[1].Event.ID != "100" {
		t.Errorf("got %d events, the first two %v", len(rep.Events), rep.Events[:2])
	}
	rep, err = fleet.Events(t.Context(), proto.EventsRequest{Limit: 501, Last: true})
	if err != nil || len(rep.Events) != 501 {
		t.Errorf("the last 501: got %d, %v", len(rep.Events), err)
	}
}

func TestFollowEventsGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	fleet, web1 := w.fleet(t), w.host(t, "web1")
	follow := func(t *testing.T, first, n int) {
		got := make(chan proto.NumberedEvent, 100)
		refused := false
		run(t, func(ctx context.Context) error {
			return fleet.FollowEvents(ctx, func(e proto.NumberedEvent) error {
				if !refused {
					refused = true
					return errors.New("not now")
				}
				got <- e
				return nil
			})
		})
		seen := map[string]bool{}
		for range n {
			select {
			case e := <-got:
				seen[e.Event.ID] = true
			case <-time.After(time.Minute): // what the one before was sent, and never answered, comes again after 30 s
				t.Fatalf("not all came; got %v", seen)
			}
		}
		for i := range n {
			if !seen[fmt.Sprint(first+i)] {
				t.Errorf("event %d did not come; got %v", first+i, seen)
			}
		}
	}
	for n := range 3 {
		publishEvent(t, web1, "web1", n)
	}
	t.Run("first", func(t *testing.T) { follow(t, 0, 3) })
	for n := 3; n < 5; n++ {
		publishEvent(t, web1, "web1", n)
	}
	t.Run("second", func(t *testing.T) { follow(t, 3, 2) })
}

func TestAnotherControllerSeesTheSame(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	web1 := w.host(t, "web1")
	publishEvent(t, web1, "web1", 1)
	c := connect(t, w.server.ClientURL(), "second", w.server.ControllerCredentials())
	awaitConnected(t, c)
	second := bus.NewFleet(c, slog.New(slog.DiscardHandler))
	if err := second.EnsureAssets(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if rep, err := second.Events(t.Context(), proto.EventsRequest{}); err != nil || len(rep.Events) != 1 {
		t.Errorf("got %v, %v", rep, err)
	}
}

func publishEvent(t *testing.T, h *bus.Host, host string, n int) {
	t.Helper()
	if _, err := h.PublishEvent(t.Context(), event(t, host, n)); err != nil {
		t.Fatal(err)
	}
}

// numbers returns first, first+step, … up to last.
func numbers(first, last, step uint64) []uint64 {
	var s []uint64
	for n := first; n <= last; n += step {
		s = append(s, n)
	}
	return s
}
