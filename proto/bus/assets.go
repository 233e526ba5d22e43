package bus

import (
	"context"
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
)

// EnsureAssets makes every stream and bucket, or changes those that there are
// into what they shall be. It may be called again and again. Replicas is 1, or
// 3 in a cluster.
func (f *Fleet) EnsureAssets(ctx context.Context, replicas int) error {
	nc, err := f.conn.connected()
	if err != nil {
		return fmt.Errorf("set up JetStream: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("set up JetStream: %w", translate(err))
	}
	for _, b := range buckets(replicas) {
		if _, err := js.CreateOrUpdateKeyValue(ctx, b); err != nil {
			return fmt.Errorf("set up bucket %s: %w", b.Bucket, translate(err))
		}
	}
	for _, s := range streams(replicas) {
		if _, err := js.CreateOrUpdateStream(ctx, s); err != nil {
			return fmt.Errorf("set up stream %s: %w", s.Name, translate(err))
		}
	}
	return nil
}

// buckets returns the buckets, which only controllers may touch: whoever writes
// one key of a bucket can erase it.
func buckets(replicas int) []jetstream.KeyValueConfig {
	return []jetstream.KeyValueConfig{
		{
			Bucket:       proto.BucketDesired,
			Description:  "What every host shall run, signed",
			History:      10,
			MaxValueSize: proto.MaxDesired + headerRoom,
			Storage:      jetstream.FileStorage,
			Replicas:     replicas,
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
			MaxValueSize:   512 << 10,
			Storage:        jetstream.FileStorage,
			Replicas:       replicas,
			LimitMarkerTTL: time.Minute,
		},
	}
}

// streams returns the streams that hosts write to, and the audit. Every limit
// per subject is one per host.
func streams(replicas int) []jetstream.StreamConfig {
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
			MaxMsgsPerSubject: 64,
			MaxMsgSize:        MaxLog + headerRoom,
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
		all[i].Replicas = replicas
		all[i].Duplicates = duplicates
		all[i].AllowDirect = true
		all[i].DenyDelete = true
		all[i].DenyPurge = true
	}
	return all
}
