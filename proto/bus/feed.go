package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

// A StatusFeed is called by [Fleet.Statuses], by one goroutine.
type StatusFeed struct {
	// Status gets every status, at least once. Required.
	Status func(StatusReport)
	// CaughtUp is called when the last status of every host was given: again
	// whenever the feed has begun anew. It may be nil.
	CaughtUp func()
}

// A StatusReport is a host's status as it was stored.
type StatusReport struct {
	Status   proto.Status
	Received time.Time // the server's clock
	Seq      uint64
}

// Statuses calls feed with the last status of every host, and then with each new
// one. It begins anew with every connection, and when it broke off: what was
// said meanwhile is not missed. A message that cannot be read, or in which one
// host speaks for another, is dropped, which is logged at most once a minute for
// each host. It returns nil when ctx ends.
func (f *Fleet) Statuses(ctx context.Context, feed StatusFeed) error {
	return f.feed(ctx, "feed of statuses", func(ctx context.Context, nc *nats.Conn) error {
		js, err := jetstream.New(nc)
		if err != nil {
			return translate(err)
		}
		consumer, err := js.CreateConsumer(ctx, proto.StreamStatus, jetstream.ConsumerConfig{
			Description:       "feed of statuses",
			DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
			FilterSubject:     proto.AllStatus,
			AckPolicy:         jetstream.AckNonePolicy,
			MemoryStorage:     true,
			InactiveThreshold: abandoned,
		})
		if err != nil {
			return translate(err)
		}
		caughtUp := sync.OnceFunc(func() {
			if feed.CaughtUp != nil {
				feed.CaughtUp()
			}
		})
		if consumer.CachedInfo().NumPending == 0 {
			caughtUp()
		}
		return consume(ctx, consumer, func(m jetstream.Msg, meta *jetstream.MsgMetadata) {
			s, err := statusOf(m)
			if err != nil {
				f.drop(ctx, m.Subject(), err)
			} else {
				feed.Status(StatusReport{Status: s, Received: meta.Timestamp, Seq: meta.Sequence.Stream})
			}
			if meta.NumPending == 0 {
				caughtUp()
			}
		})
	})
}

// statusOf parses m, which must be of the host that its subject names.
func statusOf(m jetstream.Msg) (proto.Status, error) {
	s, err := proto.ParseStatus(m.Data())
	if err != nil {
		return proto.Status{}, err
	}
	return s, sameHost(m.Subject(), s.Host)
}

// A HeartbeatReport is a heartbeat as it was heard.
type HeartbeatReport struct {
	Heartbeat proto.Heartbeat
	Received  time.Time // this machine's clock
}

// Heartbeats calls apply with every heartbeat that is heard, from one goroutine,
// until ctx ends; then it returns nil.
func (f *Fleet) Heartbeats(ctx context.Context, apply func(HeartbeatReport)) error {
	return f.conn.sessions(ctx, f.log, "feed of heartbeats", func(ctx context.Context, nc *nats.Conn) error {
		sub, err := nc.SubscribeSync(proto.AllHeartbeats)
		if err != nil {
			return translate(err)
		}
		defer func() { _ = sub.Unsubscribe() }() // fails only if the connection is closed
		for {
			m, err := sub.NextMsgWithContext(ctx)
			if err != nil {
				if errors.Is(err, nats.ErrSlowConsumer) {
					continue // some were lost: the next ones follow in a minute
				}
				return translate(err)
			}
			hb, err := proto.ParseHeartbeat(m.Data)
			if err == nil {
				err = sameHost(m.Subject, hb.Host)
			}
			if err != nil {
				f.drop(ctx, m.Subject, err)
				continue
			}
			apply(HeartbeatReport{Heartbeat: hb, Received: time.Now()})
		}
	})
}

// drop notes that a message is not used.
func (f *Fleet) drop(ctx context.Context, subject string, err error) {
	if n := f.drops.add(subject, time.Now()); n > 0 {
		f.log.WarnContext(ctx, "messages dropped", "subject", subject, "err", err, "count", n)
	}
}

// sameHost returns an error unless subject is one of host. The server lets only
// the host itself write there.
func sameHost(subject string, host proto.HostName) error {
	h, err := proto.HostOfSubject(subject)
	if err != nil {
		return err
	}
	if h != host {
		return fmt.Errorf("%s speaks for %s", h, host)
	}
	return nil
}
