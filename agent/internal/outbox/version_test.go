package outbox

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

// TestWhatTheFirstVersionQueuedIsPublished: the files in testdata/1 are as the
// first version wrote one, and as a later one may. They are never written anew.
func TestWhatTheFirstVersionQueuedIsPublished(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/1")); err != nil {
		t.Fatal(err)
	}
	b := open(t, dir, 0)
	var got []proto.Event
	if err := b.Drain(t.Context(), func(_ context.Context, e proto.Event) error {
		got = append(got, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	first, later := full(t, "7-x-0"), full(t, "7-x-1")
	later.Reason = "unheard-of"
	if diff := cmp.Diff([]proto.Event{first, later}, got, cmp.AllowUnexported(proto.StorePath{}, proto.Revision{}, proto.HostName{})); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if b.Torn() != 0 {
		t.Errorf("%d were set aside", b.Torn())
	}
}

// full returns an event with something in every member.
func full(t *testing.T, id string) proto.Event {
	t.Helper()
	e := event(t, id)
	e.Format, e.Deployment, e.Serial, e.Phase, e.Reason = proto.Format1, "7-x", 7, proto.PhaseRolledBack, proto.ReasonUnitsFailed
	e.Failed = []proto.FailedUnit{{Name: "app.service", Log: []string{"out of frobnicators"}}}
	e.Time = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var err error
	if e.Revision, err = proto.ParseRevision("0123456789abcdef0123456789abcdef01234567"); err != nil {
		t.Fatal(err)
	}
	if e.Toplevel, err = proto.ParseStorePath("/nix/store/11111111111111111111111111111111-nixos-system-b"); err != nil {
		t.Fatal(err)
	}
	return e
}
