package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"kedge/proto"
)

// Events returns what the controller has kept of what happened on the host,
// oldest first.
func (h *Host) Events(ctx context.Context) ([]proto.Event, error) {
	out, err := h.fleet.Kedge(ctx, "events", "--host", h.Name(), "--lines", "500", "--json")
	if err != nil {
		return nil, err
	}
	var events []proto.Event
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var n proto.NumberedEvent
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return events, nil
		} else if err != nil {
			return events, fmt.Errorf("read what `kedge events` said: %w", err)
		}
		events = append(events, n.Event)
	}
}

// AwaitEvent waits until one of the host's events is ok, and returns it. Events
// come after the status that they led to.
func (h *Host) AwaitEvent(ctx context.Context, what string, ok func(proto.Event) bool) (proto.Event, error) {
	following, stop := context.WithCancel(ctx)
	events, failed := follow[proto.NumberedEvent](following, h.fleet, "events", "--host", h.Name(), "--lines", "500", "--json", "--follow")
	defer func() {
		stop()
		for range events { // until it has ended
		}
	}()
	var seen []proto.Event
	for {
		select {
		case n, open := <-events:
			if !open {
				continue // ctx has ended
			}
			if ok(n.Event) {
				return n.Event, nil
			}
			seen = append(seen, n.Event)
		case <-ctx.Done():
			return proto.Event{}, errors.Join(fmt.Errorf("%s: wait for %s: %w; its events: %s", h.Name(), what, context.Cause(ctx), told(seen)), failed())
		}
	}
}

// told lists events in few words.
func told(events []proto.Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "\n  %s %s %s %s", e.Deployment, e.Phase, e.Reason, e.Message)
	}
	return b.String()
}
