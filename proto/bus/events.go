package bus

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

const (
	defaultPage = 100
	pageBytes   = 2 << 20 // a page ends after the event that makes it larger
)

// Events returns a page of the history, as r asks for. An event that cannot be
// read is left out.
func (f *Fleet) Events(ctx context.Context, r proto.EventsRequest) (proto.EventsReply, error) {
	nc, err := f.conn.connected()
	if err != nil {
		return proto.EventsReply{}, fmt.Errorf("events: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return proto.EventsReply{}, fmt.Errorf("events: %w", translate(err))
	}
	stream, err := js.Stream(ctx, proto.StreamEvents)
	if err != nil {
		return proto.EventsReply{}, fmt.Errorf("events: %w", translate(err))
	}
	r.Limit = cmp.Or(r.Limit, defaultPage)
	h := history{stream: stream, host: r.Host, state: stream.CachedInfo().State}
	var reply proto.EventsReply
	if r.Last {
		reply, err = h.last(ctx, r.Limit)
	} else {
		reply, err = h.after(ctx, r.After, r.Limit, r.Wait)
	}
	if err != nil {
		return proto.EventsReply{}, fmt.Errorf("events: %w", translate(err))
	}
	return reply, nil
}

// FollowEvents calls apply with every event, at least once, and goes on from
// where it was after a restart of the controller: an event is done with when
// apply returns nil. They come in order, but one that apply failed on comes again
// after others that are newer. It returns nil when ctx ends.
func (f *Fleet) FollowEvents(ctx context.Context, apply func(proto.NumberedEvent) error) error {
	return f.feed(ctx, "feed of events", func(ctx context.Context, nc *nats.Conn) error {
		js, err := jetstream.New(nc)
		if err != nil {
			return translate(err)
		}
		consumer, err := js.CreateOrUpdateConsumer(ctx, proto.StreamEvents, jetstream.ConsumerConfig{
			Durable:       proto.ConsumerEvents,
			Description:   "the controllers' place in the history",
			DeliverPolicy: jetstream.DeliverAllPolicy,
			FilterSubject: proto.AllEvents,
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       30 * time.Second,
			MaxAckPending: pullMessages,
		})
		if err != nil {
			return translate(err)
		}
		return consume(ctx, consumer, func(m jetstream.Msg, meta *jetstream.MsgMetadata) {
			f.follow(ctx, m, meta, apply)
		})
	})
}

// follow gives one message to apply and says to the server what came of it. An
// answer that is lost means that the event comes again.
func (f *Fleet) follow(ctx context.Context, m jetstream.Msg, meta *jetstream.MsgMetadata, apply func(proto.NumberedEvent) error) {
	e, err := eventOf(m)
	if err != nil {
		f.drop(ctx, m.Subject(), err)
		_ = m.Term()
		return
	}
	if err := apply(proto.NumberedEvent{Seq: meta.Sequence.Stream, Event: e}); err != nil {
		f.log.WarnContext(ctx, "event comes again", "seq", meta.Sequence.Stream, "err", err)
		_ = m.NakWithDelay(f.conn.options.Backoff.ceiling(int(meta.NumDelivered)))
		return
	}
	_ = m.Ack()
}

// eventOf parses m, which must be of the host that its subject names.
func eventOf(m jetstream.Msg) (proto.Event, error) {
	e, err := proto.ParseEvent(m.Data())
	if err != nil {
		return proto.Event{}, err
	}
	return e, sameHost(m.Subject(), e.Host)
}
