package bus

import (
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

// fakeJetStream answers the calls that make streams.
type fakeJetStream struct {
	mu       sync.Mutex // guards what follows
	replicas map[string]int
	broken   map[string]bool // streams that cannot be changed
	deaf     int             // how many calls get no answer
}

// answer replies to one call, $JS.API.STREAM.<verb>.<stream> or $JS.API.INFO.
func (f *fakeJetStream) answer(m *nats.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deaf--; f.deaf >= 0 {
		return
	}
	parts := strings.Split(m.Subject, ".")
	verb, stream := parts[len(parts)-2], parts[len(parts)-1]
	_, there := f.replicas[stream]
	switch {
	case verb == "API":
		f.reply(m, map[string]any{"api": map[string]any{"level": 1}})
	case f.broken[stream]:
		f.reply(m, map[string]any{"error": map[string]any{"code": 503, "err_code": 1, "description": "broken"}})
	case !there && verb != "CREATE":
		f.reply(m, map[string]any{"error": map[string]any{"code": 404, "err_code": jetstream.JSErrCodeStreamNotFound}})
	case verb == "INFO":
		f.reply(m, map[string]any{"config": jetstream.StreamConfig{Name: stream, Replicas: f.replicas[stream]}})
	default:
		var c jetstream.StreamConfig
		if json.Unmarshal(m.Data, &c) == nil {
			f.replicas[stream] = c.Replicas
		}
		f.reply(m, map[string]any{"config": c})
	}
}

func (f *fakeJetStream) reply(m *nats.Msg, v any) {
	if b, err := json.Marshal(v); err == nil {
		_ = m.Respond(b) // whoever asked waits in vain, and says so
	}
}

func TestEnsureAssets(t *testing.T) {
	const control = bucketStream + proto.BucketControl
	for name, c := range map[string]struct {
		before, want map[string]int
		broken       map[string]bool
		deaf         int
		ok           bool
	}{
		"makes what there is not": {
			ok: true,
			want: map[string]int{
				proto.StreamDesired: 1, control: 1,
				proto.StreamStatus: 1, proto.StreamEvents: 1, proto.StreamLogs: 1, proto.StreamAudit: 1,
			},
		},
		"leaves the replicas that an operator chose": {
			before: map[string]int{proto.StreamDesired: 3, proto.StreamStatus: 5},
			ok:     true,
			want: map[string]int{
				proto.StreamDesired: 3, control: 1,
				proto.StreamStatus: 5, proto.StreamEvents: 1, proto.StreamLogs: 1, proto.StreamAudit: 1,
			},
		},
		"asks again what nobody answered, as while a cluster elects": {
			before: map[string]int{proto.StreamDesired: 3, control: 3, proto.StreamStatus: 3, proto.StreamEvents: 3, proto.StreamLogs: 3},
			deaf:   1, ok: true,
			want: map[string]int{
				proto.StreamDesired: 3, control: 3,
				proto.StreamStatus: 3, proto.StreamEvents: 3, proto.StreamLogs: 3, proto.StreamAudit: 1,
			},
		},
		"makes the others when some cannot be made": {
			broken: map[string]bool{control: true, proto.StreamEvents: true},
			want:   map[string]int{proto.StreamDesired: 1, proto.StreamStatus: 1, proto.StreamLogs: 1, proto.StreamAudit: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := startServer(t)
			f := &fakeJetStream{replicas: map[string]int{}, broken: c.broken, deaf: c.deaf}
			maps.Copy(f.replicas, c.before)
			respond(t, rawClient(t, url), "$JS.API.>", f.answer)
			conn := open(t, url)
			await(t, conn, func(s State) bool { return s.Connected })
			err := NewFleet(conn, slog.New(slog.DiscardHandler)).EnsureAssets(t.Context(), 1)
			if (err == nil) != c.ok {
				t.Errorf("EnsureAssets = %v, want an error: %t", err, !c.ok)
			}
			for stream := range c.broken {
				if err != nil && !strings.Contains(err.Error(), strings.TrimPrefix(stream, bucketStream)) {
					t.Errorf("error %q does not name %s", err, stream)
				}
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if diff := cmp.Diff(c.want, f.replicas); diff != "" {
				t.Errorf("replicas (-want +got):\n%s", diff)
			}
		})
	}
}
