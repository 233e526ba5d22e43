package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// abandoned is how long the server keeps a consumer that nobody uses.
	abandoned = 2 * time.Minute

	// The server says every pullHeartbeat that a feed is alive; after two that
	// are missing the feed begins anew.
	pullHeartbeat = 5 * time.Second
	pullExpiry    = 30 * time.Second
	pullMessages  = 256
)

// consume calls apply with every message of consumer until ctx ends or the
// consumer is lost.
func consume(ctx context.Context, consumer jetstream.Consumer, apply func(jetstream.Msg, *jetstream.MsgMetadata)) error {
	messages, err := consumer.Messages(
		jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.PullExpiry(pullExpiry),
		jetstream.PullMaxMessages(pullMessages),
	)
	if err != nil {
		return translate(err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return translate(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return translate(err)
		}
		apply(m, meta)
	}
}
