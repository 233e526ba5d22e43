package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

// A history reads the stream of events by sequence number, through a consumer
// that lives in the server's memory for the length of one page.
type history struct {
	stream jetstream.Stream
	host   proto.HostName // zero: of every host
	state  jetstream.StreamState
}

// after returns at most limit events after the sequence number seq. If there are
// none it waits for the first one.
func (h history) after(ctx context.Context, seq uint64, limit int, patience time.Duration) (proto.EventsReply, error) {
	// A number from before the stream was made anew means: from now on.
	seq = min(seq, h.state.LastSeq)
	p := page{limit: limit, next: seq}
	if seq == h.state.LastSeq && patience <= 0 {
		return p.reply(), nil
	}
	err := h.read(ctx, seq+1, func(c jetstream.Consumer) error {
		if c.CachedInfo().NumPending == 0 {
			if patience <= 0 {
				return nil
			}
			if _, err := h.fetch(ctx, c, &p, 1, patience); err != nil || p.empty() {
				return err
			}
		}
		return h.fill(ctx, c, &p)
	})
	return p.reply(), err
}

// last returns the newest events, at most limit. Where old events were removed
// the numbers have gaps, so it looks further back until it has enough.
func (h history) last(ctx context.Context, limit int) (proto.EventsReply, error) {
	for window := uint64(limit); ; window *= 4 {
		start := h.state.FirstSeq
		if h.host.IsZero() && h.state.LastSeq >= window {
			start = max(start, h.state.LastSeq-window+1)
		}
		p := page{limit: limit, next: h.state.LastSeq, newest: true}
		if h.state.Msgs == 0 {
			return p.reply(), nil
		}
		err := h.read(ctx, start, func(c jetstream.Consumer) error { return h.fill(ctx, c, &p) })
		if err != nil || len(p.events) >= limit || p.bytes >= pageBytes || start <= h.state.FirstSeq {
			return p.reply(), err
		}
	}
}

// read calls f with a consumer that begins at the sequence number start.
func (h history) read(ctx context.Context, start uint64, f func(jetstream.Consumer) error) error {
	filter := proto.AllEvents
	if !h.host.IsZero() {
		filter = proto.EventSubject(h.host)
	}
	c, err := h.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Description:       "page of events",
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       max(start, 1),
		FilterSubject:     filter,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		InactiveThreshold: abandoned,
	})
	if err != nil {
		return err
	}
	err = f(c)
	if ctx.Err() == nil {
		// If this fails the server removes it, later.
		_ = h.stream.DeleteConsumer(ctx, c.CachedInfo().Name)
	}
	return err
}

// fill reads what is there until p is full.
func (h history) fill(ctx context.Context, c jetstream.Consumer, p *page) error {
	for !p.full() {
		n, err := h.fetch(ctx, c, p, min(pullMessages, p.room()), 0)
		if err != nil || n == 0 {
			return err
		}
	}
	return nil
}

// fetch adds up to n events to p, waiting for the first of them if patience is
// not zero, and returns how many messages came.
func (h history) fetch(ctx context.Context, c jetstream.Consumer, p *page, n int, patience time.Duration) (int, error) {
	var batch jetstream.MessageBatch
	var err error
	if patience > 0 {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		batch, err = c.Fetch(n, jetstream.FetchContext(ctx))
	} else {
		batch, err = c.FetchNoWait(n)
	}
	if err != nil {
		return 0, err
	}
	came := 0
	for m := range batch.Messages() {
		came++
		meta, err := m.Metadata()
		if err != nil {
			return came, err
		}
		e, err := eventOf(m)
		if err != nil {
			// That it cannot be read was logged when it came.
			p.skip(meta.Sequence.Stream)
			continue
		}
		p.add(proto.NumberedEvent{Seq: meta.Sequence.Stream, Event: e}, len(m.Data()))
	}
	if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, context.DeadlineExceeded) {
		return came, err
	}
	return came, ctx.Err()
}

// A page is a page of events that is being filled.
type page struct {
	limit  int
	newest bool // drop the oldest rather than stop when full
	events []proto.NumberedEvent
	sizes  []int // of events, as they came
	bytes  int   // of all of them
	next   uint64
}

func (p *page) empty() bool { return len(p.events) == 0 }

func (p *page) full() bool {
	return !p.newest && (len(p.events) >= p.limit || p.bytes >= pageBytes)
}

// room returns how many events may be asked for: all of them are in the page then,
// so that it is at most twice as large as it should be.
func (p *page) room() int {
	if p.newest {
		return pullMessages
	}
	return min(p.limit-len(p.events), pageBytes/proto.MaxEvent)
}

func (p *page) add(e proto.NumberedEvent, size int) {
	p.events, p.sizes = append(p.events, e), append(p.sizes, size)
	p.bytes += size
	for p.newest && (len(p.events) > p.limit || p.bytes-p.sizes[0] >= pageBytes) {
		p.bytes -= p.sizes[0]
		p.events, p.sizes = p.events[1:], p.sizes[1:]
	}
	p.skip(e.Seq)
}

// skip notes that everything up to seq was seen.
func (p *page) skip(seq uint64) { p.next = max(p.next, seq) }

func (p *page) reply() proto.EventsReply {
	return proto.EventsReply{Events: append([]proto.NumberedEvent{}, p.events...), Next: p.next}
}
