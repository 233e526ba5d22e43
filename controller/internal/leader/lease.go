package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

const (
	// TTL is how long a lease lasts after it was written last.
	TTL = 6 * time.Second
	// RenewInterval is how often its holder writes it: two may fail.
	RenewInterval = 2 * time.Second
	// margin is how long before others may take it a holder gives it up.
	margin = time.Second
	// tick is how often a holder looks at its clock, after a failure tries again, and
	// who waits looks at the record.
	tick = 250 * time.Millisecond
	// attempt is how long one call may take.
	attempt = 2 * time.Second
)

// ErrLost says that the lease is not held any more.
var ErrLost = errors.New("lease of the leader is lost")

// A Bus keeps the record; see [bus.Fleet].
type Bus interface {
	GetControl(ctx context.Context, key string) (bus.Raw, error)
	PutControl(ctx context.Context, key string, data []byte, last uint64) (uint64, error)
}

var _ Bus = (*bus.Fleet)(nil)

// Options is what a lease is made of.
type Options struct {
	Bus    Bus          // required
	Holder string       // required; no two controllers have the same
	Log    *slog.Logger // required
	// Clock is the time since an instant that stays the same, and never stops;
	// defaults to the time since the boot, sleep included.
	Clock func() time.Duration
}

// A Lease is one that was acquired. [Lease.Keep] may run once; the rest is safe for
// concurrent use beside it.
type Lease struct {
	o    Options
	mine record

	seq     atomic.Uint64 // of the record
	until   atomic.Int64  // when it ends, by the clock
	renewed time.Duration // when it was written last, by the clock; belongs to Keep
}

// Acquire waits until the lease is free, and returns it. Trouble is told to wait, which
// is called again and again, with who holds the lease or the error. The only error is
// that of ctx.
func Acquire(ctx context.Context, o Options, term string, wait func(holder string, err error)) (*Lease, error) {
	if o.Clock == nil {
		o.Clock = bootTime
	}
	l := &Lease{o: o, mine: record{Holder: o.Holder, Term: term}}
	w := watch{}
	for {
		holder, err := l.try(ctx, &w)
		if err == nil && holder == "" {
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		wait(holder, err)
		if !sleep(ctx, tick) {
			return nil, context.Cause(ctx)
		}
	}
}

// A watch is a version of the record, and since when it is the one.
type watch struct {
	seen  bool
	seq   uint64
	since time.Duration
}

// try takes the lease if it is free, and else returns who holds it.
func (l *Lease) try(ctx context.Context, w *watch) (holder string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, attempt, bus.ErrTimeout)
	defer cancel()
	asked := l.o.Clock()
	raw, err := l.o.Bus.GetControl(ctx, proto.KeyLeader)
	if err != nil {
		return "", fmt.Errorf("read the lease: %w", err)
	}
	if !w.seen || w.seq != raw.Seq {
		*w = watch{seen: true, seq: raw.Seq, since: l.o.Clock()}
	}
	r, err := parse(raw.Data)
	expired := asked-w.since >= TTL
	switch {
	case err != nil && !expired: // who wrote it knows more than we do, and may be alive
		return "", err
	case err == nil && r.Holder != "" && r.Holder != l.mine.Holder && !expired:
		return r.Holder, nil
	}
	if err := l.write(ctx, l.mine, raw.Seq); err != nil {
		return "", err
	}
	return "", nil
}

// write writes r in the place of the version last. What was written counts from before.
func (l *Lease) write(ctx context.Context, r record, last uint64) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	before := l.o.Clock()
	seq, err := l.o.Bus.PutControl(ctx, proto.KeyLeader, data, last)
	if err != nil {
		return fmt.Errorf("write the lease: %w", err)
	}
	l.seq.Store(seq)
	l.renewed = before
	l.until.Store(int64(before + TTL - margin))
	return nil
}

// Seq returns the sequence number of the record as it was written last.
func (l *Lease) Seq() uint64 { return l.seq.Load() }

// Left returns for how long the lease is held for certain; zero if it is not.
func (l *Lease) Left() time.Duration {
	return max(0, time.Duration(l.until.Load())-l.o.Clock())
}

// Check returns nil if the lease is held for as long as something takes that is to
// begin now; else the error wraps [ErrLost].
func (l *Lease) Check(takes time.Duration) error {
	if left := l.Left(); left < takes {
		return fmt.Errorf("%w: %s are left, and %s may be needed", ErrLost, left.Round(time.Millisecond), takes)
	}
	return nil
}

// Keep renews the lease until ctx ends, and then returns nil. It returns an error that
// wraps [ErrLost] when the lease is not held any more, before anybody else can hold it.
func (l *Lease) Keep(ctx context.Context) error {
	var failed error
	for {
		if l.Left() == 0 {
			return errors.Join(ErrLost, failed)
		}
		if failed != nil || l.o.Clock()-l.renewed >= RenewInterval {
			failed = l.renew(ctx)
			if errors.Is(failed, ErrLost) {
				return failed
			}
			if failed != nil && ctx.Err() == nil {
				l.o.Log.WarnContext(ctx, "lease of the leader not renewed yet", "err", failed, "left", l.Left().Round(time.Millisecond))
			}
		}
		if !sleep(ctx, min(tick, max(l.Left(), time.Millisecond))) {
			return nil
		}
	}
}

// renew writes the record anew. The error wraps [ErrLost] if somebody else did.
func (l *Lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, min(attempt, max(l.Left(), time.Millisecond)), bus.ErrTimeout)
	defer cancel()
	err := l.write(ctx, l.mine, l.seq.Load())
	if !errors.Is(err, bus.ErrConflict) {
		return err
	}
	raw, err := l.o.Bus.GetControl(ctx, proto.KeyLeader)
	if err != nil {
		return fmt.Errorf("read the lease: %w", err)
	}
	if r, err := parse(raw.Data); err != nil || r.Holder != l.mine.Holder || r.Term != l.mine.Term {
		return fmt.Errorf("%w: %q holds it", ErrLost, r.Holder)
	}
	l.seq.Store(raw.Seq) // one that we took for failed arrived
	return l.write(ctx, l.mine, raw.Seq)
}

// Resign gives the lease up, so that another controller can take it at once. Nothing
// may be done as the leader any more, and Keep must have returned.
func (l *Lease) Resign(ctx context.Context) error {
	held := l.Left() > 0
	l.until.Store(0)
	if !held {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, attempt, bus.ErrTimeout)
	defer cancel()
	data, err := record{}.encode()
	if err != nil {
		return err
	}
	if _, err := l.o.Bus.PutControl(ctx, proto.KeyLeader, data, l.seq.Load()); err != nil {
		return fmt.Errorf("resign: %w", err)
	}
	return nil
}

// sleep returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
