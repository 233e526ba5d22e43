package agent

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"kedge/agent/internal/outbox"
	"kedge/proto"
	"kedge/proto/bus"
)

// refusing is a bus that takes no event.
type refusing struct {
	Bus
	err error
}

func (b refusing) PublishEvent(context.Context, proto.Event) (uint64, error) { return 0, b.err }

func TestOnlyAnEventThatWillNeverFitIsDiscarded(t *testing.T) {
	var host proto.HostName
	if err := host.UnmarshalText([]byte("web1")); err != nil {
		t.Fatal(err)
	}
	for err, left := range map[error]int{bus.ErrTooLarge: 0, bus.ErrDenied: 1, bus.ErrNotConnected: 1} {
		box, openErr := outbox.Open(outbox.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
		if openErr != nil {
			t.Fatal(openErr)
		}
		if err := box.Add(proto.Event{ID: "1", Host: host}); err != nil {
			t.Fatal(err)
		}
		a := &Agent{Options: Options{Bus: refusing{err: err}}}
		if drained := box.Drain(t.Context(), a.publishEvent); (drained == nil) != (left == 0) || left > 0 && !errors.Is(drained, err) {
			t.Errorf("%v: drain = %v", err, drained)
		}
		if got := box.Len(); got != left {
			t.Errorf("%v: %d events are kept, want %d", err, got, left)
		}
	}
}
