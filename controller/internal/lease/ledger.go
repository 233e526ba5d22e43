package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// A Bus keeps the record. GetControl returns it as it is now. PutControl fails with
// [bus.ErrConflict] unless what it replaces has the sequence number last.
type Bus interface {
	GetControl(ctx context.Context, key string) (bus.Raw, error)
	PutControl(ctx context.Context, key string, data []byte, last uint64) (uint64, error)
}

var _ Bus = (*bus.Fleet)(nil)

// Options is what a ledger is made of. All are required but Now.
type Options struct {
	Bus   Bus
	Rules Rules
	Now   func() time.Time // defaults to time.Now
}

// A Ledger gives out leases, and takes them back. What it says is durable is in
// NATS. After an error it may be so or not: every method may be called again. Safe
// for concurrent use, also with the ledgers of other controllers.
type Ledger struct {
	o    Options
	turn chan struct{} // held by who changes the record: one does not race oneself

	mu    sync.Mutex // guards what follows
	known record     // is never changed, only replaced
	seen  bool       // known was read or written at least once
}

// NewLedger returns a ledger.
func NewLedger(o Options) *Ledger {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Ledger{o: o, turn: make(chan struct{}, 1)}
}

// Rules returns the rules that leases are given out by.
func (l *Ledger) Rules() Rules { return l.o.Rules }

// An Answer says what came of a host's wish for a lease.
type Answer struct {
	Granted bool
	Lease   Holder   // that was granted
	New     bool     // the host had none before
	Held    int      // leases that there are now
	Expired []Holder // that made room
}

// Acquire gives host a lease, durably, if it has one already or there is one left.
func (l *Ledger) Acquire(ctx context.Context, host proto.HostName, deployment string) (Answer, error) {
	var a Answer
	err := l.change(ctx, func(r record) (record, bool) {
		now := l.o.Now().UTC()
		next, expired, granted := r.grant(Holder{Host: host, Deployment: deployment, Since: now, Asked: now}, l.o.Rules)
		a = Answer{Granted: granted, New: granted && r.index(host) < 0, Held: len(next), Expired: expired}
		if granted {
			a.Lease = next[next.index(host)]
		}
		return next, granted
	})
	if err != nil {
		return Answer{}, fmt.Errorf("lease for %s: %w", host, err)
	}
	return a, nil
}

// Release takes the lease of host away, durably, and returns it. If it has none,
// held is false.
func (l *Ledger) Release(ctx context.Context, host proto.HostName) (h Holder, held bool, err error) {
	err = l.change(ctx, func(r record) (record, bool) {
		i := r.index(host)
		if held = i >= 0; !held {
			return r, false
		}
		h = r[i]
		return r.without(host), true
	})
	if err != nil {
		return Holder{}, false, fmt.Errorf("release the lease of %s: %w", host, err)
	}
	return h, held, nil
}

// Holders returns who has a lease now, the oldest first.
func (l *Ledger) Holders(ctx context.Context) ([]Holder, error) {
	r, _, err := l.read(ctx)
	return r, err
}

// Known returns who had a lease when that was last read or changed here; known is
// false before the first time.
func (l *Ledger) Known() (holders []Holder, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known, l.seen
}

// maxAttempts is how often a change is tried that others are faster than each time:
// more than there are controllers.
const maxAttempts = 20

// change replaces the record with what do makes of it, if that is another one. Do
// is called again if another controller was faster.
func (l *Ledger) change(ctx context.Context, do func(record) (next record, changed bool)) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for attempt := 1; ; attempt++ {
		r, seq, err := l.read(ctx)
		if err != nil {
			return err
		}
		next, changed := do(r)
		if !changed {
			return nil
		}
		err = l.write(ctx, next, seq)
		if !errors.Is(err, bus.ErrConflict) || attempt == maxAttempts {
			return err
		}
	}
}

func (l *Ledger) read(ctx context.Context) (record, uint64, error) {
	raw, err := l.o.Bus.GetControl(ctx, proto.KeyLeases)
	if err != nil {
		return nil, 0, err
	}
	r, err := parse(raw.Data)
	if err != nil {
		return nil, 0, fmt.Errorf("%w; delete the key %s of the bucket %s to start without it", err, proto.KeyLeases, proto.BucketControl)
	}
	l.remember(r)
	return r, raw.Seq, nil
}

func (l *Ledger) write(ctx context.Context, r record, seq uint64) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	if err := l.put(ctx, data, seq); err != nil {
		return err
	}
	l.remember(r)
	return nil
}

// put puts data in the place of the version seq, and does so once more if nobody said what
// came of it. What the first attempt did put is ours.
func (l *Ledger) put(ctx context.Context, data []byte, seq uint64) error {
	_, err := l.o.Bus.PutControl(ctx, proto.KeyLeases, data, seq)
	if !bus.Transient(err) {
		return err
	}
	_, err = l.o.Bus.PutControl(ctx, proto.KeyLeases, data, seq)
	if !errors.Is(err, bus.ErrConflict) {
		return err
	}
	raw, got := l.o.Bus.GetControl(ctx, proto.KeyLeases)
	if got != nil {
		return got
	}
	if !bytes.Equal(raw.Data, data) {
		return err
	}
	return nil
}

func (l *Ledger) remember(r record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.seen = r, true
}
