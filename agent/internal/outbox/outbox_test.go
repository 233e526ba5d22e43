package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

func open(t *testing.T, dir string, limit int) *Outbox {
	t.Helper()
	b, err := Open(Options{Dir: dir, Limit: limit, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func event(t *testing.T, id string) proto.Event {
	t.Helper()
	host, err := proto.ParseHostName("web1")
	if err != nil {
		t.Fatal(err)
	}
	return proto.Event{ID: id, Host: host, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Message: "about " + id}
}

func add(t *testing.T, b *Outbox, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := b.Add(event(t, id)); err != nil {
			t.Fatal(err)
		}
	}
}

// drain returns the IDs of what is published until publish fails.
func drain(t *testing.T, b *Outbox, fail func(id string) error) ([]string, error) {
	t.Helper()
	var ids []string
	err := b.Drain(t.Context(), func(_ context.Context, e proto.Event) error {
		if e.Message != "about "+e.ID {
			t.Errorf("event %s has message %q", e.ID, e.Message)
		}
		if err := fail(e.ID); err != nil {
			return err
		}
		ids = append(ids, e.ID)
		return nil
	})
	return ids, err
}

func never(string) error { return nil }

func requireDrained(t *testing.T, b *Outbox, want ...string) {
	t.Helper()
	got, err := drain(t, b, never)
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("drained (-want +got):\n%s", diff)
	}
	if b.Len() != 0 {
		t.Errorf("%d are left", b.Len())
	}
}

func TestDrainInOrderOnceEach(t *testing.T) {
	b := open(t, t.TempDir(), 0)
	add(t, b, "z", "a", "m", "a", "../../etc/passwd")
	requireDrained(t, b, "z", "a", "m", "../../etc/passwd")
	requireDrained(t, b)
	add(t, b, "a") // was delivered: nobody remembers
	requireDrained(t, b, "a")
}

func TestDrainStopsAtAnErrorAndGoesOn(t *testing.T) {
	b := open(t, t.TempDir(), 0)
	add(t, b, "1", "2", "3")
	down := errors.New("not connected")
	got, err := drain(t, b, func(id string) error {
		if id == "2" {
			return down
		}
		return nil
	})
	if !errors.Is(err, down) || len(got) != 1 {
		t.Errorf("got %q, %v", got, err)
	}
	requireDrained(t, b, "2", "3")
}

func TestOpenFindsWhatWasLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	b := open(t, dir, 0)
	select {
	case <-b.Added():
		t.Error("an empty outbox rings")
	default:
	}
	var want []string
	for i := range 12 {
		want = append(want, fmt.Sprint(i))
	}
	add(t, b, want...)

	b = open(t, dir, 0)
	select {
	case <-b.Added():
	default:
		t.Error("nobody is told of what was left")
	}
	add(t, b, "3", "later") // the first is there already
	b = open(t, dir, 0)     // and the other one stays the last
	requireDrained(t, b, append(want, "later")...)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 0 {
		t.Errorf("left on disk: %v, %v", files, err)
	}
}

func TestOldestIsDropped(t *testing.T) {
	b := open(t, t.TempDir(), 3)
	add(t, b, "1", "2", "3", "4", "5")
	if got := b.Dropped(); got != 2 {
		t.Errorf("dropped: got %d, want 2", got)
	}
	requireDrained(t, b, "3", "4", "5")
}

func TestTornFileIsSetAside(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, 0)
	add(t, b, "1", "2", "3")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(dir, files[1].Name())
	if err := os.WriteFile(torn, []byte(`{"format":1,"id":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".x.json.tmp-ABC"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir, 0)
	requireDrained(t, b, "1", "3")
	if b.Torn() != 1 {
		t.Errorf("torn: got %d, want 1", b.Torn())
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 || left[0] != torn+tornSuffix {
		t.Errorf("left on disk: %q, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".x.json.tmp-ABC")); err == nil {
		t.Error("what a dead write left is still there")
	}
}

func TestFewTornFilesAreKept(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 * tornLimit {
		name := filepath.Join(dir, entry{number: uint64(i + 1), key: keyOf(fmt.Sprint(i))}.name())
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, dir, 0)
	requireDrained(t, b)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != tornLimit {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

func TestDiscardedEventHoldsNobodyUp(t *testing.T) {
	b := open(t, t.TempDir(), 0)
	add(t, b, "1", "2", "3")
	got, err := drain(t, b, func(id string) error {
		if id == "2" {
			return fmt.Errorf("%w: too large", ErrDiscard)
		}
		return nil
	})
	if diff := cmp.Diff([]string{"1", "3"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if b.Len() != 0 || b.Dropped() != 1 {
		t.Errorf("len %d, dropped %d", b.Len(), b.Dropped())
	}
}

func TestEventsAreAddedAndDroppedWhileOneIsPublished(t *testing.T) {
	b := open(t, t.TempDir(), 2)
	add(t, b, "1", "2")
	var got []string
	err := b.Drain(t.Context(), func(_ context.Context, e proto.Event) error {
		if e.ID == "1" {
			add(t, b, "3", "4") // 1 and 2 are dropped for them
		}
		got = append(got, e.ID)
		return nil
	})
	if diff := cmp.Diff([]string{"1", "3", "4"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestAddRefusesWhatCannotBeReadBack(t *testing.T) {
	b := open(t, t.TempDir(), 0)
	if err := b.Add(proto.Event{ID: "of no host"}); err == nil {
		t.Error("no error")
	}
	if b.Len() != 0 {
		t.Errorf("%d are queued", b.Len())
	}
}

func TestDrainEndsWithItsContext(t *testing.T) {
	b := open(t, t.TempDir(), 0)
	add(t, b, "1", "2")
	ctx, cancel := context.WithCancel(t.Context())
	err := b.Drain(ctx, func(context.Context, proto.Event) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || b.Len() != 1 {
		t.Errorf("got %v, %d left", err, b.Len())
	}
}
