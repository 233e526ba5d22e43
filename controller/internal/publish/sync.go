package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"kedge/proto"
	"kedge/proto/bus"
)

// maxConflicts is how often a write gives way to another writer before it gives
// up: more than a handful of times in a row means that two controllers fight.
const maxConflicts = 5

// syncAtOnce is how many hosts are brought in step at the same time: most of it is
// waiting for the bus and its disk. If so many got no answer, the bus is away.
const syncAtOnce = 16

// Forget takes back what is known of the bus. It is to be called after every
// reconnection: the bus may have been wiped or restored meanwhile.
func (p *Publisher) Forget() {
	for _, name := range p.names() {
		h := p.host(name)
		h.mu.Lock()
		h.seen = false
		h.set(h.record, false)
		h.mu.Unlock()
	}
	p.listed.Store(false)
}

// Sync brings the bus to what is durable, for every host that is not in step as
// far as is known: after a start, after [Publisher.Forget], and whenever the bus
// could not be reached. It costs nothing when all are. What is newer on the bus,
// and ours, is adopted, also of hosts that nothing is known of. The error says which hosts are not in step; of those that
// got no answer it names one. The others are, and another call goes on from there.
func (p *Publisher) Sync(ctx context.Context) error {
	if err := p.list(ctx); err != nil {
		return err
	}
	var unanswered atomic.Int32
	names := p.names()
	problems := make([]error, len(names))
	var g errgroup.Group
	g.SetLimit(syncAtOnce)
	for i, name := range names {
		if ctx.Err() != nil || unanswered.Load() >= syncAtOnce {
			break
		}
		if !p.host(name).shown.Load().unsynced {
			continue
		}
		g.Go(func() error {
			err := p.syncHost(ctx, name)
			if err != nil && (!bus.Transient(err) || unanswered.Add(1) == 1) {
				problems[i] = fmt.Errorf("put desired state of %s: %w", name, err)
			}
			return nil
		})
	}
	_ = g.Wait() // every error is in problems
	return errors.Join(append(problems, ctx.Err())...)
}

// list makes known, once after [Publisher.Forget], every host that the bus has
// something of: what was known of it here may be lost.
func (p *Publisher) list(ctx context.Context) error {
	if p.listed.Load() {
		return nil
	}
	names, err := p.o.Bus.DesiredHosts(ctx)
	if err != nil {
		return fmt.Errorf("list desired states: %w", err)
	}
	for _, name := range names {
		h := p.host(name)
		h.mu.Lock()
		if h.record.Host.IsZero() && !h.seen {
			h.found()
		}
		h.mu.Unlock()
	}
	p.listed.Store(true)
	return nil
}

// Unsynced returns how many hosts have something durable that is not known to be
// on the bus. It waits for no publication.
func (p *Publisher) Unsynced() int {
	n := 0
	for _, name := range p.names() {
		if p.host(name).shown.Load().unsynced {
			n++
		}
	}
	return n
}

func (p *Publisher) syncHost(ctx context.Context, name proto.HostName) error {
	h := p.host(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.synced {
		return nil
	}
	if err := p.look(ctx, name, h); err != nil {
		return err
	}
	if h.record.Host.IsZero() { // what is there is not ours, and we have nothing to say
		h.set(h.record, false)
		return nil
	}
	if h.synced {
		return nil
	}
	return p.put(ctx, h, false)
}

// put puts the host's record on the bus. If somebody else wrote something newer
// there meanwhile, then that is adopted, unless ours is to be insisted on: then
// ours is signed anew above it. The caller holds h.mu.
func (p *Publisher) put(ctx context.Context, h *host, insist bool) error {
	for range maxConflicts {
		data, err := h.record.Desired.Encode()
		if err != nil {
			return err
		}
		seq, err := p.o.Bus.PutDesired(ctx, h.record.Host, data, h.seq)
		switch {
		case err == nil:
			h.seq, h.seen = seq, true
			h.set(h.record, true)
			return nil
		case !errors.Is(err, bus.ErrConflict):
			h.seen = false
			return err
		}
		if err := p.giveWay(ctx, h, insist); err != nil {
			return err
		}
		if h.synced {
			return nil
		}
	}
	return fmt.Errorf("%w %d times in a row: is another controller writing?", bus.ErrConflict, maxConflicts)
}

// giveWay looks at what another writer put on the bus. The caller holds h.mu.
func (p *Publisher) giveWay(ctx context.Context, h *host, insist bool) error {
	ours := h.record
	h.seen = false
	if err := p.look(ctx, ours.Host, h); err != nil {
		return err
	}
	if !insist || !h.record.newer(ours) {
		return nil
	}
	again, err := p.again(ours, h.record)
	if err != nil {
		return err
	}
	p.o.Log.WarnContext(ctx, "another controller wrote; published above it", "host", ours.Host,
		"serial", again.Target.Serial, "theirs", h.record.Target.Serial)
	return p.save(h, again)
}

// look learns what the bus holds for a host, unless that is known, and adopts it
// if it is ours and newer than what is durable. The caller holds h.mu.
func (p *Publisher) look(ctx context.Context, name proto.HostName, h *host) error {
	if h.seen {
		return nil
	}
	raw, err := p.o.Bus.GetDesired(ctx, name)
	if errors.Is(err, bus.ErrNoDesired) {
		h.seq, h.seen = 0, true
		return nil
	}
	if err != nil {
		return err
	}
	theirs, err := p.open(name, raw.Data)
	switch {
	case err != nil:
		p.o.Log.WarnContext(ctx, "desired state on the bus is not ours; it will be overwritten", "host", name, "err", err)
	case theirs.newer(h.record):
		p.o.Log.WarnContext(ctx, "desired state on the bus is newer than ours; adopted", "host", name,
			"ours", h.record.Target.Serial, "theirs", theirs.Target.Serial)
		theirs.Release = max(theirs.Release, h.record.Release)
		if err := p.save(h, theirs); err != nil {
			return err
		}
		h.set(h.record, true)
	default:
		ours, err := h.record.Desired.Encode()
		if err != nil {
			return err
		}
		h.set(h.record, bytes.Equal(ours, raw.Data))
	}
	h.seq, h.seen = raw.Seq, true
	return nil
}

// open returns the record that a desired state amounts to, if our keys signed it
// for this host.
func (p *Publisher) open(name proto.HostName, data []byte) (Record, error) {
	d, err := proto.ParseDesired(data)
	if err != nil {
		return Record{}, err
	}
	p.learn(d.Withdrawals)
	a, err := p.o.Signer.OpenAssignment(d.Assignment)
	if err != nil {
		return Record{}, fmt.Errorf("assignment: %w", err)
	}
	r, err := p.o.Signer.OpenRelease(d.Release)
	if err != nil {
		return Record{}, fmt.Errorf("release: %w", err)
	}
	if a.Host != name || r.Host != name || a.Release != proto.DigestOf(d.Release.Payload) {
		return Record{}, fmt.Errorf("%w: release and assignment are not for %s", proto.ErrMalformed, name)
	}
	reset := p.openReset(&d, name) // before d is
	return Record{
		Host:    name,
		Reset:   reset,
		Target:  target(r, d.Release, a.Serial, a.Issued),
		Issued:  a.Issued,
		Release: r.Serial,
		Mode:    a.Mode,
		Desired: d,
		Token:   !a.CacheToken.IsZero(),
	}, nil
}
