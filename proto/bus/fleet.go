package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

// A Fleet is what a controller may do: say what hosts shall run, hear what they
// say, and keep the audit. All methods are safe for concurrent use.
type Fleet struct {
	// Queue is a name that those share who answer requests: one of them gets each. Of
	// several with different names each one does, and only the one that leads may have
	// an effect: who is held up keeps no request from the others. It is set before
	// anything is answered; the default is one for all controllers.
	Queue string
	// BrokeOff is called when a feed of a stream broke off over a connection that stays:
	// the stream may be lost. It is set before there are feeds; it may be nil.
	BrokeOff func()

	conn  *Conn
	log   *slog.Logger
	drops drops

	mu     sync.Mutex       // guards what follows
	assets *assets          // of the newest nats.Conn; nil before the first use
	stamps map[string]stamp // of the streams that were made or found
}

// assets are the JetStream handles that belong to one nats.Conn.
type assets struct {
	nats    *nats.Conn
	js      jetstream.JetStream
	desired jetstream.KeyValue
}

// NewFleet returns the view of a controller over c, whose credentials must be a
// controller's.
func NewFleet(c *Conn, log *slog.Logger) *Fleet {
	return &Fleet{Queue: answerQueue, conn: c, log: log, stamps: make(map[string]stamp)}
}

// open returns the handles for the current connection.
func (f *Fleet) open(ctx context.Context) (*assets, error) {
	nc, err := f.conn.connected()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	a := f.assets
	f.mu.Unlock()
	if a != nil && a.nats == nc {
		return a, nil
	}
	a = &assets{nats: nc}
	if a.js, err = jetstream.New(nc); err != nil {
		return nil, translate(err)
	}
	if a.desired, err = a.js.KeyValue(ctx, proto.BucketDesired); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", proto.BucketDesired, translate(err))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.assets = a
	return a, nil
}

// PutDesired publishes data as the desired state of host, and returns its
// sequence number, when the one that it replaces has the sequence number last
// (zero: there is none). Else the error wraps [ErrConflict] and nothing was
// changed. After any other error it may be published or not.
func (f *Fleet) PutDesired(ctx context.Context, host proto.HostName, data []byte, last uint64) (uint64, error) {
	if len(data) > proto.MaxDesired {
		return 0, fmt.Errorf("publish desired state of %s: %w: %d bytes, at most %d are allowed", host, ErrTooLarge, len(data), proto.MaxDesired)
	}
	a, err := f.open(ctx)
	if err != nil {
		return 0, fmt.Errorf("publish desired state of %s: %w", host, err)
	}
	seq, err := put(ctx, a.desired, host.String(), data, last)
	if err != nil {
		return 0, fmt.Errorf("publish desired state of %s after %d: %w", host, last, err)
	}
	return seq, nil
}

// GetDesired returns the desired state of host as it was last published. Errors
// wrap [ErrNoDesired] if there is none.
func (f *Fleet) GetDesired(ctx context.Context, host proto.HostName) (Raw, error) {
	a, err := f.open(ctx)
	if err != nil {
		return Raw{}, fmt.Errorf("desired state of %s: %w", host, err)
	}
	r, err := get(ctx, a.desired, host.String())
	if errors.Is(err, ErrNotFound) {
		err = ErrNoDesired
	}
	if err != nil {
		return Raw{}, fmt.Errorf("desired state of %s: %w", host, err)
	}
	return r, nil
}

// DesiredHosts returns every host that a desired state was published of, sorted.
func (f *Fleet) DesiredHosts(ctx context.Context) ([]proto.HostName, error) {
	a, err := f.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("list desired states: %w", err)
	}
	s, err := a.js.Stream(ctx, bucketStream+proto.BucketDesired)
	if err != nil {
		return nil, fmt.Errorf("list desired states: %w", translate(err))
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(proto.AllDesiredKeys))
	if err != nil {
		return nil, fmt.Errorf("list desired states: %w", translate(err))
	}
	var hosts []proto.HostName
	for subject := range info.State.Subjects {
		host, err := proto.ParseHostName(subject[strings.LastIndexByte(subject, '.')+1:])
		if err != nil {
			continue // nobody's
		}
		hosts = append(hosts, host)
	}
	slices.SortFunc(hosts, proto.HostName.Compare)
	return hosts, nil
}

// Ring rings the doorbell of host, if it listens.
func (f *Fleet) Ring(ctx context.Context, host proto.HostName) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ring %s: %w", host, err)
	}
	if err := f.conn.publish(nats.NewMsg(proto.DoorbellSubject(host))); err != nil {
		return fmt.Errorf("ring %s: %w", host, err)
	}
	return nil
}

// get returns the value of key. Errors wrap [ErrNotFound].
func get(ctx context.Context, kv jetstream.KeyValue, key string) (Raw, error) {
	e, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrKeyDeleted) {
		return Raw{}, ErrNotFound
	}
	if err != nil {
		return Raw{}, translate(err)
	}
	return Raw{Data: e.Value(), Seq: e.Revision()}, nil
}

// put sets key if its sequence number is last; zero means that there is none.
func put(ctx context.Context, kv jetstream.KeyValue, key string, data []byte, last uint64) (uint64, error) {
	if last == 0 {
		seq, err := kv.Create(ctx, key, data)
		return seq, translate(err)
	}
	seq, err := kv.Update(ctx, key, data, last)
	return seq, translate(err)
}
