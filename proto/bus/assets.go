package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

const (
	// headerRoom is what a message may hold beyond its payload: the limits
	// of streams and buckets count headers too.
	headerRoom = 4 << 10

	// duplicates is the shortest window that the server takes. Nothing here
	// uses message ids: they are shared by a whole stream, so that one host
	// could use up another's.
	duplicates = 100 * time.Millisecond

	day = 24 * time.Hour

	bucketStream = "KV_" // before a bucket's name: the stream behind it

	// assetAttempt is how long one attempt to make a stream may take. What is asked while
	// a cluster has nobody who answers is not answered later either.
	assetAttempt = 3 * time.Second
)

// EnsureAssets makes every stream and bucket, or changes those that there are
// into what they shall be, but for their replicas, which an operator may have
// changed: what is made anew has that many, 1, or 3 in a cluster. It may be
// called again and again. One that cannot be made keeps no other from being made;
// the error names all of them. What nobody answers is asked again until ctx ends.
func (f *Fleet) EnsureAssets(ctx context.Context, replicas int) error {
	nc, err := f.conn.connected()
	if err != nil {
		return fmt.Errorf("set up JetStream: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("set up JetStream: %w", translate(err))
	}
	var problems []error
	for _, b := range buckets() {
		if err := insist(ctx, func(ctx context.Context) error { return f.ensureBucket(ctx, js, b, replicas) }); err != nil {
			problems = append(problems, fmt.Errorf("set up bucket %s: %w", b.Bucket, translate(err)))
		}
	}
	for _, s := range streams() {
		if err := insist(ctx, func(ctx context.Context) error { return f.ensureStream(ctx, js, s, replicas) }); err != nil {
			problems = append(problems, fmt.Errorf("set up stream %s: %w", s.Name, translate(err)))
		}
	}
	return errors.Join(problems...)
}

// insist does something until it is answered, or ctx ends.
func insist(ctx context.Context, do func(context.Context) error) error {
	for {
		soon, cancel := context.WithTimeout(ctx, assetAttempt)
		err := do(soon)
		silent := errors.Is(err, context.DeadlineExceeded)
		cancel()
		if !silent || ctx.Err() != nil {
			return err
		}
	}
}

func (f *Fleet) ensureBucket(ctx context.Context, js jetstream.JetStream, b jetstream.KeyValueConfig, replicas int) (err error) {
	if b.Replicas, err = replicasOf(ctx, js, bucketStream+b.Bucket, replicas); err != nil {
		return err
	}
	if _, err = js.CreateOrUpdateKeyValue(ctx, b); err != nil {
		return err
	}
	return f.stamp(ctx, js, bucketStream+b.Bucket)
}

func (f *Fleet) ensureStream(ctx context.Context, js jetstream.JetStream, s jetstream.StreamConfig, replicas int) (err error) {
	if s.Replicas, err = replicasOf(ctx, js, s.Name, replicas); err != nil {
		return err
	}
	if _, err = js.CreateOrUpdateStream(ctx, s); err != nil {
		return err
	}
	return f.stamp(ctx, js, s.Name)
}

// replicasOf returns how many replicas a stream has, or is to have if it is not
// there yet.
func replicasOf(ctx context.Context, js jetstream.JetStream, stream string, otherwise int) (int, error) {
	s, err := js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return otherwise, nil
	}
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().Config.Replicas, nil
}

// buckets returns the buckets, which only controllers may touch: whoever writes
// one key of a bucket can erase it.
func buckets() []jetstream.KeyValueConfig {
	return []jetstream.KeyValueConfig{
		{
			Bucket:       proto.BucketDesired,
			Description:  "What every host shall run, signed",
			History:      10,
			MaxValueSize: proto.MaxDesired + headerRoom,
			Storage:      jetstream.FileStorage,
			RePublish: &jetstream.RePublish{
				Source:      proto.AllDesiredKeys,
				Destination: proto.DoorbellTemplate,
				HeadersOnly: true,
			},
		},
		{
			Bucket:         proto.BucketControl,
			Description:    "What controllers keep for one another",
			History:        5,
			MaxValueSize:   1000 << 10, // with headers less than any server takes that is set up as NATS is by default
			Storage:        jetstream.FileStorage,
			LimitMarkerTTL: time.Minute,
		},
	}
}

// streams returns the streams that hosts write to, and the audit. Every limit
// per subject is one per host.
func streams() []jetstream.StreamConfig {
	all := []jetstream.StreamConfig{
		{
			Name:              proto.StreamStatus,
			Description:       "The last status of every host",
			Subjects:          []string{proto.AllStatus},
			MaxMsgsPerSubject: 1,
			MaxMsgSize:        proto.MaxStatus + headerRoom,
		},
		{
			Name:              proto.StreamEvents,
			Description:       "What happened on the hosts",
			Subjects:          []string{proto.AllEvents},
			MaxMsgsPerSubject: 500,
			MaxMsgSize:        proto.MaxEvent + headerRoom,
			MaxAge:            30 * day,
			MaxBytes:          1 << 30,
		},
		{
			Name:              proto.StreamLogs,
			Description:       "Logs of activations",
			Subjects:          []string{proto.AllLogs},
			MaxMsgsPerSubject: proto.MaxLogs,
			MaxMsgSize:        proto.MaxLog + headerRoom,
			MaxAge:            14 * day,
			MaxBytes:          512 << 20,
		},
		{
			Name:        proto.StreamAudit,
			Description: "What controllers and operators did",
			Subjects:    []string{proto.AllAudit},
			MaxMsgSize:  proto.MaxAudit + headerRoom,
			MaxAge:      2 * 365 * day,
		},
	}
	for i := range all {
		all[i].Storage = jetstream.FileStorage
		all[i].Duplicates = duplicates
		all[i].AllowDirect = true
		all[i].DenyDelete = true
		all[i].DenyPurge = true
	}
	return all
}
