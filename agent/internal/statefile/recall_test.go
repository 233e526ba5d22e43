package statefile_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/agent/internal/statefile"
)

func TestAwaitRecall(t *testing.T) {
	d := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if r, recalled := d.AwaitRecall(over, "7-x", slog.New(slog.DiscardHandler)); recalled {
		t.Errorf("got %+v, want none where there is none", r)
	}
	if err := os.WriteFile(filepath.Join(d.Runtime, "recall.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, recalled := d.AwaitRecall(over, "7-x", slog.New(slog.DiscardHandler)); recalled {
		t.Errorf("got %+v, want none where it cannot be read", r)
	}
	got := make(chan statefile.Recall, 1)
	go func() {
		r, _ := d.AwaitRecall(t.Context(), "7-x", slog.New(slog.DiscardHandler))
		got <- r
	}()
	want := statefile.Recall{Deployment: "7-x", By: "ada", Reason: "it is slow"}
	for _, r := range []statefile.Recall{{Deployment: "6-w", By: "bob"}, want} {
		if err := d.Recall(r); err != nil {
			t.Fatal(err)
		}
	}
	if r := <-got; r != want || r.String() != "by ada: it is slow" {
		t.Errorf("got %+v, %s; want %+v", r, r, want)
	}
	if r, recalled := d.AwaitRecall(over, "7-x", slog.New(slog.DiscardHandler)); !recalled || r != want {
		t.Errorf("got %+v, %t; want what is there already", r, recalled)
	}
	if r, recalled := d.AwaitRecall(over, "8-y", slog.New(slog.DiscardHandler)); recalled {
		t.Errorf("got %+v, want none for another deployment", r)
	}
}

// TestAwaitRecallWithoutAWatch: who waits hears of a recall also where the file cannot be
// watched, or not any more.
func TestAwaitRecallWithoutAWatch(t *testing.T) {
	for name, watched := range map[string]bool{"from the beginning": false, "any more": true} {
		t.Run(name, func(t *testing.T) {
			d := statefile.Dir{State: t.TempDir(), Runtime: filepath.Join(t.TempDir(), "run")}
			if watched {
				if err := os.Mkdir(d.Runtime, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			said, waits := &bytes.Buffer{}, make(chan struct{})
			log := slog.New(telling{slog.NewTextHandler(said, nil), waits})
			got := make(chan statefile.Recall, 1)
			go func() {
				r, _ := d.AwaitRecall(t.Context(), "7-x", log)
				got <- r
			}()
			if watched {
				// Until it is removed under a watch, however long that takes to begin.
				if err := os.Remove(d.Runtime); err != nil {
					t.Fatal(err)
				}
			}
			<-waits
			if err := os.Mkdir(d.Runtime, 0o700); err != nil {
				t.Fatal(err)
			}
			want := statefile.Recall{Deployment: "7-x", By: "ada"}
			if err := d.Recall(want); err != nil {
				t.Fatal(err)
			}
			if r := <-got; r != want {
				t.Errorf("got %+v, want %+v", r, want)
			}
			if n := strings.Count(said.String(), "level=WARN"); n != 1 {
				t.Errorf("told %d times, want once:\n%s", n, said)
			}
		})
	}
}

// telling closes a channel at the first record.
type telling struct {
	slog.Handler
	told chan struct{}
}

func (h telling) Handle(ctx context.Context, r slog.Record) error {
	defer close(h.told) // a second one would panic
	return h.Handler.Handle(ctx, r)
}
