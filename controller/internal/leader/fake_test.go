package leader

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"kedge/proto/bus"
)

// fakeBus holds the record. It is to be used in one bubble of synctest.
type fakeBus struct {
	down bool // set before anybody calls

	mu   sync.Mutex // guards what follows
	data []byte
	seq  uint64
	// trouble, which is called with mu held, says how long a call is on its way, and its answer, and whether that
	// comes. Nil for none.
	trouble func() (there, back time.Duration, lost bool)
}

// call carries do out at the other end. What was sent arrives though nobody waits for
// it any more.
func (b *fakeBus) call(ctx context.Context, do func()) error {
	if b.down {
		return bus.ErrNotConnected
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trouble == nil {
		do()
		return nil
	}
	there, back, lost := b.trouble()
	answered := make(chan struct{})
	time.AfterFunc(there, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		do()
		if !lost {
			time.AfterFunc(back, func() { close(answered) })
		}
	})
	b.mu.Unlock()
	defer b.mu.Lock()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *fakeBus) GetControl(ctx context.Context, _ string) (bus.Raw, error) {
	got := make(chan bus.Raw, 1)
	if err := b.call(ctx, func() { got <- bus.Raw{Data: b.data, Seq: b.seq} }); err != nil {
		return bus.Raw{}, err
	}
	return <-got, nil
}

func (b *fakeBus) PutControl(ctx context.Context, _ string, data []byte, last uint64) (uint64, error) {
	got := make(chan uint64, 1)
	err := b.call(ctx, func() {
		if b.seq != last {
			got <- 0
			return
		}
		b.data, b.seq = data, b.seq+1
		got <- b.seq
	})
	if err != nil {
		return 0, err
	}
	if seq := <-got; seq > 0 {
		return seq, nil
	}
	return 0, bus.ErrConflict
}

// set makes trouble begin, or end.
func (b *fakeBus) set(trouble func() (time.Duration, time.Duration, bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trouble = trouble
}

// random returns trouble of every kind, up to a while longer than a lease lasts.
func random(r *rand.Rand) func() (time.Duration, time.Duration, bool) {
	delay := func() time.Duration {
		if r.IntN(10) > 0 {
			return time.Duration(r.IntN(300)) * time.Millisecond
		}
		return time.Duration(r.IntN(9000)) * time.Millisecond
	}
	return func() (time.Duration, time.Duration, bool) { return delay(), delay(), r.IntN(20) == 0 }
}

// options are those of a controller in a bubble.
func options(b Bus, holder string) Options {
	start := time.Now()
	return Options{Bus: b, Holder: holder, Log: slog.New(slog.DiscardHandler), Clock: func() time.Duration { return time.Since(start) }}
}

func acquire(t *testing.T, ctx context.Context, o Options, term string) *Lease { //nolint:revive // t first, as everywhere in tests
	t.Helper()
	l, err := Acquire(ctx, o, term, func(string, error) {})
	if err != nil {
		t.Fatalf("acquire for %s: %v", o.Holder, err)
	}
	return l
}

// holder returns who holds the lease.
func (b *fakeBus) holder(t *testing.T) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	r, err := parse(b.data)
	if err != nil {
		t.Fatal(err)
	}
	return r.Holder
}
