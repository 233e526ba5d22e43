package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A stamp tells a stream from one that was made in its place, and from an older copy.
type stamp struct {
	made time.Time
	last uint64 // sequence number; a stream never goes back
}

// follows reports whether s may be of the stream that o was of before.
func (s stamp) follows(o stamp) bool { return s.made.Equal(o.made) && s.last >= o.last }

// stampOf returns the stamp of a stream.
func stampOf(ctx context.Context, js jetstream.JetStream, stream string) (stamp, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return stamp{}, err
	}
	info := s.CachedInfo()
	return stamp{made: info.Created, last: info.State.LastSeq}, nil
}

// LostAssets returns the names of the streams, those of buckets among them, that are not
// any more what [Fleet.EnsureAssets] made or found: they are gone, or others are in their
// place, and what they held is to be put there again. Each loss is told once. The error
// names those that nothing is known of now; they may be lost or not.
func (f *Fleet) LostAssets(ctx context.Context) ([]string, error) {
	f.mu.Lock()
	names := slices.Sorted(maps.Keys(f.stamps))
	f.mu.Unlock()
	if len(names) == 0 {
		return nil, nil
	}
	nc, err := f.conn.connected()
	if err != nil {
		return nil, fmt.Errorf("look at streams: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("look at streams: %w", translate(err))
	}
	lost, problems := make([]string, len(names)), make([]error, len(names))
	var asked sync.WaitGroup // all at once: one that nobody leads is not waited for by the others
	for i, name := range names {
		asked.Go(func() {
			switch gone, err := f.gone(ctx, js, name); {
			case err != nil:
				problems[i] = fmt.Errorf("look at stream %s: %w", name, translate(err))
			case gone:
				lost[i] = name
			}
		})
	}
	asked.Wait()
	return slices.DeleteFunc(lost, func(name string) bool { return name == "" }), errors.Join(problems...)
}

// gone reports whether a stream is not any more what it was, and notes what it is now.
func (f *Fleet) gone(ctx context.Context, js jetstream.JetStream, stream string) (bool, error) {
	now, err := stampOf(ctx, js, stream)
	missing := errors.Is(err, jetstream.ErrStreamNotFound)
	if err != nil && !missing {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.stamps[stream]
	if missing {
		delete(f.stamps, stream)
		return true, nil
	}
	f.stamps[stream] = now
	return !now.follows(before), nil
}

// stamp notes what a stream is that was made or found, unless that is known: then
// LostAssets is to tell that it is another one.
func (f *Fleet) stamp(ctx context.Context, js jetstream.JetStream, stream string) error {
	now, err := stampOf(ctx, js, stream)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.stamps[stream]; !known {
		f.stamps[stream] = now
	}
	return nil
}

// feed is [Conn.sessions], and says when one breaks off.
func (f *Fleet) feed(ctx context.Context, what string, session func(context.Context, *nats.Conn) error) error {
	return f.conn.sessions(ctx, f.log, what, func(ctx context.Context, nc *nats.Conn) error {
		err := session(ctx, nc)
		if f.BrokeOff != nil && ctx.Err() == nil {
			f.BrokeOff()
		}
		return err
	})
}
