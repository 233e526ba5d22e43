package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"kedge/controller/internal/natsd"
	"kedge/controller/internal/publish"
	"kedge/proto/bus"
)

const (
	keepRetry     = 5 * time.Second  // after a failure
	keepLook      = time.Minute      // without news: assignments come due
	lookTimeout   = 5 * time.Second  // for whether streams and buckets are lost
	lostPause     = time.Second      // before what is lost is made again: a server that deletes it is not healthy until its files are gone
	ensureTimeout = 20 * time.Second // for streams and buckets, of one attempt
	syncTimeout   = time.Minute      // for desired states, of one attempt; the next one goes on from there
	// elsewhereAfter is how long a server is asked in vain before another one is: one that
	// is cut off from its cluster answers its clients nothing. Electing takes a cluster up
	// to 9 s.
	elsewhereAfter = 12 * time.Second
)

// A connection says how it stands; see [bus.Conn].
type connection interface {
	State() bus.State
	Watch() (bus.State, <-chan struct{})
	// Elsewhere connects anew, to another server if there are several.
	Elsewhere()
}

// An assetMaker makes streams and buckets; see [bus.Fleet].
type assetMaker interface {
	EnsureAssets(ctx context.Context, replicas int) error
	// LostAssets returns which of them are gone, or others, since; each once.
	LostAssets(ctx context.Context) ([]string, error)
}

// statements are what hosts are told; see [publish.Publisher].
type statements interface {
	Forget()
	Renew(ctx context.Context) error
	Sync(ctx context.Context) error
}

// A natsServer is the NATS server in this process; see [natsd.Server].
type natsServer interface {
	Healthy() error
	Mendable() bool
}

var (
	_ connection = (*bus.Conn)(nil)
	_ assetMaker = (*bus.Fleet)(nil)
	_ statements = (*publish.Publisher)(nil)
	_ natsServer = (*natsd.Server)(nil)
)

// keeper renews assignments, and keeps NATS in step with what is durable: it
// makes streams and buckets and puts desired states after every connection, and when
// they were lost.
type keeper struct {
	wakeup     chan struct{} // capacity 1
	conn       connection
	assets     assetMaker
	replicas   int // of streams and buckets that are made
	statements statements
	server     natsServer // nil if it is not in this process
	log        *slog.Logger

	// The connections over which something was done last; 0 for none. Those
	// that are not atomic belong to the goroutine of run.
	forgot  uint64        // what was known of the one before
	ensured uint64        // every stream and bucket
	synced  atomic.Uint64 // that, and every desired state was put

	lost atomic.Pointer[string] // streams that are not yet made and filled again; nil for none
}

// run keeps until ctx ends, or until the NATS server can only be mended by a new
// start of this process.
func (k *keeper) run(ctx context.Context) error {
	var silent silence
	for ctx.Err() == nil {
		_, changed := k.conn.Watch()
		wait := keepLook
		err := k.once(ctx)
		if silent.over(err, time.Now()) && k.server == nil {
			k.conn.Elsewhere()
		}
		if err != nil && ctx.Err() == nil {
			wait = keepRetry
			k.log.WarnContext(ctx, "assignments or NATS are not in step yet", "err", err, "again_in", wait)
		}
		if err := k.examine(ctx); err != nil {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-changed:
		case <-k.wakeup:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
	return nil
}

// silence is how long a server has been asked in vain. The zero value is not at all.
type silence struct{ since time.Time }

// over notes what asking came to, and reports whether to ask another server.
func (s *silence) over(err error, now time.Time) bool {
	switch {
	case !bus.Transient(err):
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = now
	case now.Sub(s.since) >= elsewhereAfter:
		s.since = time.Time{}
		return true
	}
	return false
}

// wake has the keeper do at once what is to be done.
func (k *keeper) wake() {
	select {
	case k.wakeup <- struct{}{}:
	default: // it is going to
	}
}

// once does what is to be done now. Nothing that fails keeps the rest from being
// done: assignments expire, with NATS or without.
func (k *keeper) once(ctx context.Context) error {
	renewed := k.statements.Renew(ctx)
	state := k.conn.State()
	if !state.Connected {
		return renewed
	}
	looked := k.look(ctx)
	if k.forgot != state.Connects {
		k.statements.Forget()
		k.forgot = state.Connects
	}
	ensured, synced := k.ensure(ctx, state.Connects), k.sync(ctx)
	if ensured == nil && synced == nil {
		k.lost.Store(nil)
		k.synced.Store(state.Connects)
	}
	return errors.Join(renewed, looked, ensured, synced)
}

// look finds streams that were lost, after which all is to be done as over a new connection.
func (k *keeper) look(ctx context.Context) error {
	soon, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	lost, err := k.assets.LostAssets(soon)
	if len(lost) > 0 {
		if before := k.lost.Load(); before != nil {
			lost = append([]string{*before}, lost...)
		}
		names := strings.Join(lost, ", ")
		k.log.ErrorContext(ctx, "NATS lost streams; they are made and filled again", "streams", names)
		k.lost.Store(&names)
		k.forgot, k.ensured = 0, 0
		k.synced.Store(0)
		sleep(ctx, lostPause)
	}
	return err
}

// ensure makes streams and buckets, once for a connection unless they are lost.
func (k *keeper) ensure(ctx context.Context, connects uint64) error {
	if k.ensured == connects {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	if err := k.assets.EnsureAssets(ctx, k.replicas); err != nil {
		return fmt.Errorf("make streams and buckets: %w", err)
	}
	k.ensured = connects
	return nil
}

// sync puts the desired states that are not there.
func (k *keeper) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	return k.statements.Sync(ctx)
}

// examine returns an error if the NATS server stores nothing any more, not only for the
// moment, and a new start of this process would help.
func (k *keeper) examine(ctx context.Context) error {
	err := k.health()
	if err != nil && sleep(ctx, lostPause) {
		err = k.health()
	}
	switch {
	case err == nil || ctx.Err() != nil:
		return nil
	case k.server.Mendable():
		return fmt.Errorf("the controller has to be started again (its service does that by itself): %w", err)
	}
	k.log.ErrorContext(ctx, "NATS server is not healthy, and a new start would not help yet", "err", err)
	return nil
}

// health returns why the NATS server in this process does not store what it is
// sent, or nil.
func (k *keeper) health() error {
	if k.server == nil {
		return nil
	}
	if err := k.server.Healthy(); err != nil {
		return fmt.Errorf("NATS server: %w", err)
	}
	return nil
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
		if lost := k.lost.Load(); lost != nil {
			return fmt.Errorf("NATS lost %s, and has not got it back yet", *lost)
		}
		return errors.New("NATS is not in step with what was published")
	}
	return k.health()
}
