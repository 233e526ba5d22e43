package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"kedge/proto"
)

// ErrDiscard says of an event that nobody will ever take it. What publish
// returns may wrap it; the event is then dropped, and the next one's turn
// comes.
var ErrDiscard = errors.New("event is not wanted")

// Drain publishes the events, oldest first, and deletes each when publish has
// returned nil for it. It stops at the first error, which it returns, and when
// none are left. One that cannot be read is set aside and reported in the log.
// After a power cut one that was deleted may be there again, and be published
// again.
//
// publish owes that what it was given is safe elsewhere when it returns nil.
func (b *Outbox) Drain(ctx context.Context, publish func(ctx context.Context, e proto.Event) error) error {
	b.drain.Lock()
	defer b.drain.Unlock()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		first, ok := b.first()
		if !ok {
			return nil
		}
		if err := b.deliver(ctx, first, publish); err != nil {
			return fmt.Errorf("drain outbox: %w", err)
		}
	}
}

// deliver publishes one event and takes it out of the queue.
func (b *Outbox) deliver(ctx context.Context, first entry, publish func(ctx context.Context, e proto.Event) error) error {
	event := first.lent
	if event == nil {
		data, err := os.ReadFile(b.path(first))
		if errors.Is(err, fs.ErrNotExist) {
			// Dropped meanwhile, or removed by somebody.
			return b.remove(first, false)
		}
		if err != nil {
			return err
		}
		kept, err := proto.ParseEvent(data)
		if err != nil {
			b.log.ErrorContext(ctx, "event cannot be read and was set aside", "file", b.path(first)+tornSuffix, "err", err)
			return b.setAside(first)
		}
		event = &kept
	}
	err := publish(ctx, *event)
	if errors.Is(err, ErrDiscard) {
		b.log.WarnContext(ctx, "event was discarded", "id", event.ID, "err", err)
		return b.remove(first, true)
	}
	if err != nil {
		return fmt.Errorf("publish event %s: %w", event.ID, err)
	}
	return b.remove(first, false)
}

func (b *Outbox) first() (entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return entry{}, false
	}
	return b.queue[0], true
}

// remove deletes the event, if it is still there.
func (b *Outbox) remove(e entry, lost bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := os.Remove(b.path(e)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.forget(e)
	if lost {
		b.dropped++
	}
	return nil
}
