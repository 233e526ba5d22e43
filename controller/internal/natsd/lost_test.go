package natsd_test

import (
	"context"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

func TestWhatIsLostIsToldOnce(t *testing.T) {
	w := newWorld(t)
	f := w.fleet(t)
	nc, err := nats.Connect(w.server.ClientURL(), nats.UserCredentials(w.server.ControllerCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	remove := func(streams ...string) {
		t.Helper()
		for _, s := range streams {
			if err := js.DeleteStream(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustLose := func(when string, want ...string) {
		t.Helper()
		if got, err := f.LostAssets(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: lost %q, %v; want %q", when, got, err, want)
		}
	}
	ensure := func() {
		t.Helper()
		if err := f.EnsureAssets(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}

	mustLose("as it was made")
	if _, err := f.PutDesired(t.Context(), hostName(t, "web1"), []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	mustLose("when there is more in it")
	remove(proto.StreamDesired, proto.StreamAudit)
	mustLose("when two are deleted", proto.StreamAudit, proto.StreamDesired)
	mustLose("once it was told")
	ensure()
	mustLose("when they are made again")

	remove(proto.StreamStatus)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: proto.StreamStatus, Subjects: []string{proto.AllStatus}}); err != nil {
		t.Fatal(err)
	}
	mustLose("when somebody else made it", proto.StreamStatus)
	remove(proto.StreamEvents)
	ensure() // by chance
	mustLose("when it was made before the loss was noticed", proto.StreamEvents)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := f.LostAssets(ctx); err == nil || len(got) > 0 {
		t.Errorf("without an answer: lost %q, %v; want nothing but an error", got, err)
	}
	mustLose("after that")
}
