package outbox

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

func lend(t *testing.T, b *Outbox, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := b.Lend(event(t, id)); err != nil {
			t.Fatal(err)
		}
	}
}

func requireFiles(t *testing.T, dir string, want int) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != want {
		t.Errorf("files are %v (%v), want %d", files, err, want)
	}
}

func TestWhatIsLentNeedsNoFile(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, 0)
	add(t, b, "1")
	lend(t, b, "2", "3", "2", "1")
	if got := b.Len(); got != 3 {
		t.Errorf("%d events wait, want 3", got)
	}
	requireFiles(t, dir, 1)
	requireDrained(t, b, "1", "2", "3")
	requireFiles(t, dir, 0)
}

func TestWhatIsLentIsKept(t *testing.T) {
	for name, keep := range map[string]func(b *Outbox) error{
		"when asked for":               (*Outbox).Keep,
		"when asked for again":         func(b *Outbox) error { return errors.Join(b.Keep(), b.Keep()) },
		"before what comes after it":   func(b *Outbox) error { return b.Add(event(t, "3")) },
		"with the same, that is added": func(b *Outbox) error { return b.Add(event(t, "2")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := open(t, dir, 0)
			lend(t, b, "1", "2")
			if err := keep(b); err != nil {
				t.Fatal(err)
			}
			requireFiles(t, dir, b.Len())
			requireDrained(t, open(t, dir, 0), []string{"1", "2", "3"}[:b.Len()]...)
		})
	}
}

func TestWhatIsLentIsPublishedOnceThoughItIsKeptMeanwhile(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, 0)
	lend(t, b, "1", "2")
	got, err := drain(t, b, func(string) error { return b.Keep() })
	if diff := cmp.Diff([]string{"1", "2"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	requireFiles(t, dir, 0)
}

func TestOldestIsDroppedAlsoIfItIsLent(t *testing.T) {
	b := open(t, t.TempDir(), 2)
	lend(t, b, "1", "2", "3")
	if got := b.Dropped(); got != 1 {
		t.Errorf("dropped: got %d, want 1", got)
	}
	requireDrained(t, b, "2", "3")
}

// TestWhatCannotBeKept: what is lent is still somebody else's, and published; what
// was to be added is nobody's.
func TestWhatCannotBeKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	b := open(t, dir, 0)
	if err := errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(event(t, "0")); err == nil {
		t.Error("added to a folder that is none")
	}
	lend(t, b, "1", "2")
	if err := b.Keep(); err == nil {
		t.Error("kept in a folder that is none")
	}
	for _, id := range []string{"2", "3"} {
		if err := b.Add(event(t, id)); err == nil {
			t.Error("added to a folder that is none")
		}
	}
	if err := errors.Join(os.Remove(dir), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	requireDrained(t, b, "1", "2")
}

func TestLendRefusesWhatCannotBeReadBack(t *testing.T) {
	b := open(t, t.TempDir(), 0)
	if err := b.Lend(proto.Event{ID: "of no host"}); err == nil || b.Len() != 0 {
		t.Errorf("Lend = %v, %d wait", err, b.Len())
	}
}
