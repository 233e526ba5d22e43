package statefile_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"kedge/agent/internal/statefile"
)

func TestAwaitRecall(t *testing.T) {
	d := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if r, recalled := d.AwaitRecall(over, "7-x"); recalled {
		t.Errorf("got %+v, want none where there is none", r)
	}
	if err := os.WriteFile(filepath.Join(d.Runtime, "recall.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, recalled := d.AwaitRecall(over, "7-x"); recalled {
		t.Errorf("got %+v, want none where it cannot be read", r)
	}
	got := make(chan statefile.Recall, 1)
	go func() {
		r, _ := d.AwaitRecall(t.Context(), "7-x")
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
	if r, recalled := d.AwaitRecall(over, "7-x"); !recalled || r != want {
		t.Errorf("got %+v, %t; want what is there already", r, recalled)
	}
	if r, recalled := d.AwaitRecall(over, "8-y"); recalled {
		t.Errorf("got %+v, want none for another deployment", r)
	}
}
