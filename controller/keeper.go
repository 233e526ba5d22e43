package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"kedge/controller/internal/publish"
	"kedge/proto/bus"
)

const (
	keepRetry   = 5 * time.Second // after a failure
	keepLook    = time.Minute     // without news: assignments come due
	replicas    = 1               // of streams and buckets; a cluster's are changed by hand so far
	syncTimeout = time.Minute     // of one attempt
)

// keeper keeps NATS in step with what is durable: it makes streams and buckets
// and puts desired states after every connection, and renews assignments.
type keeper struct {
	conn      *bus.Conn
	bus       *bus.Fleet
	publisher *publish.Publisher
	log       *slog.Logger

	synced atomic.Uint64 // the connection that everything was put over; 0 for none
}

// run keeps until ctx ends.
func (k *keeper) run(ctx context.Context) error {
	for ctx.Err() == nil {
		_, changed := k.conn.Watch()
		wait := keepLook
		if err := k.once(ctx); err != nil && ctx.Err() == nil {
			wait = keepRetry
			k.log.WarnContext(ctx, "NATS is not in step yet", "err", err, "again_in", wait)
		}
		t := time.NewTimer(wait)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
	return nil
}

// once does what is to be done now.
func (k *keeper) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	state := k.conn.State()
	if state.Connected && k.synced.Load() != state.Connects {
		if err := k.bus.EnsureAssets(ctx, replicas); err != nil {
			return fmt.Errorf("make streams and buckets: %w", err)
		}
		if err := k.publisher.Sync(ctx); err != nil {
			return err
		}
		k.synced.Store(state.Connects)
	}
	// Assignments are renewed without NATS too: they are durable first.
	err := k.publisher.Renew(ctx)
	if state.Connected {
		err = errors.Join(err, k.publisher.SyncRest(ctx))
	}
	return err
}

// ready returns why hosts cannot read what they shall run, or nil.
func (k *keeper) ready() error {
	state := k.conn.State()
	switch {
	case !state.Connected && state.Err != nil:
		return fmt.Errorf("not connected to NATS: %w", state.Err)
	case !state.Connected:
		return errors.New("not connected to NATS")
	case k.synced.Load() != state.Connects:
		return errors.New("NATS is not in step with what was published")
	}
	return nil
}
