package statefile

import (
	"os"
	"path/filepath"
	"testing"

	"kedge/proto"
)

func TestPruning(t *testing.T) {
	d := newDir(t)
	want := func(want bool) {
		t.Helper()
		if got, err := d.Pruning(); err != nil || got != want {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
	}
	want(false)
	if err := d.BeginPruning([]proto.Generation{3, 4}); err != nil {
		t.Fatal(err)
	}
	want(true)
	if err := os.WriteFile(filepath.Join(d.State, pruningFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(true) // whatever it says
	for range 2 {
		if err := d.EndPruning(); err != nil {
			t.Fatal(err)
		}
		want(false)
	}
}
