package statefile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kedge/agent/internal/deployment"
	"kedge/internal/durable"
	"kedge/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long an event of the kernel may take on a busy machine.
const patience = 10 * time.Second

func await(t *testing.T, changed <-chan struct{}, wantOpen bool) {
	t.Helper()
	select {
	case _, open := <-changed:
		if open != wantOpen {
			t.Fatalf("channel is open: %v, want %v", open, wantOpen)
		}
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
}

func TestContact(t *testing.T) {
	d := newDir(t)
	if got, err := d.Contact(); err != nil || got != (Contact{}) {
		t.Errorf("missing: got %+v, %v", got, err)
	}
	want := Contact{InvocationID: "ab", BootID: "b", PID: 7, Version: "1", Serial: 3, Accepted: true, Reason: proto.ReasonConverged, At: noon}
	if err := d.SaveContact(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.Contact()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(d.Runtime, ContactFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var corrupt *durable.CorruptError
	if _, err := d.Contact(); !errors.As(err, &corrupt) {
		t.Errorf("torn: got %v", err)
	}
	for _, other := range []string{`{"format":2,"accepted":true}`, `{"accepted":true}`} {
		if err := os.WriteFile(filepath.Join(d.Runtime, ContactFile), []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		var format *durable.FormatError
		if c, err := d.Contact(); !errors.As(err, &format) || c.Accepted {
			t.Errorf("of another format: got %+v, %v", c, err)
		}
	}
}

func TestWatch(t *testing.T) {
	d := newDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	contact, err := d.WatchContact(ctx)
	if err != nil {
		t.Fatal(err)
	}
	record, err := d.Watch(ctx, DeploymentFile)
	if err != nil {
		t.Fatal(err)
	}
	for serial := range proto.Serial(3) {
		if err := d.SaveContact(Contact{Serial: serial}); err != nil {
			t.Fatal(err)
		}
		await(t, contact, true)
		if err := d.Save(deployment.Deployment{Serial: serial}); err != nil {
			t.Fatal(err)
		}
		await(t, record, true)
	}
	// Other files of the same directory are nobody's business.
	if err := d.SaveFloor(proto.Floor{Serial: 1}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(d.State, DeploymentFile)); err != nil {
		t.Fatal(err)
	}
	await(t, record, true)
	select {
	case <-record:
		t.Error("a value for another file")
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	await(t, contact, false)
	await(t, record, false)
}

func TestWatchCoalesces(t *testing.T) {
	d := newDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, err := d.WatchContact(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const writes = 100
	for serial := range proto.Serial(writes) {
		if err := d.SaveContact(Contact{Serial: serial}); err != nil {
			t.Fatal(err)
		}
	}
	// Whoever has received everything has seen the last write.
	var last Contact
	for last.Serial != writes-1 {
		await(t, changed, true)
		if last, err = d.Contact(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for range changed { // until it is closed
	}
}

func TestWatchEndsWithItsDirectory(t *testing.T) {
	d := newDir(t)
	changed, err := d.WatchContact(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(d.Runtime); err != nil {
		t.Fatal(err)
	}
	for range changed { // until it is closed
	}
}

func TestWatchRefuses(t *testing.T) {
	d := newDir(t)
	if _, err := d.Watch(t.Context(), floorFile); !errors.Is(err, ErrWatchUnknown) {
		t.Errorf("unknown name: got %v", err)
	}
	d.Runtime = filepath.Join(d.Runtime, "missing")
	if _, err := d.WatchContact(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing directory: got %v", err)
	}
}
