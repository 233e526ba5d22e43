package statefile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestVetoes(t *testing.T) {
	d := newDir(t)
	if got := d.Vetoes(); len(got) > 0 {
		t.Errorf("none were made: got %v", got)
	}
	for _, v := range []Veto{{"b", "a backup runs"}, {"a", ""}, {"gone", "x"}} {
		if err := d.Veto(v); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := d.EndVeto("gone"); err != nil {
			t.Error(err)
		}
	}
	dir := filepath.Join(d.Runtime, vetoDir)
	for name, text := range map[string]string{".hidden": "x", "long": strings.Repeat("x", 1<<20), "more": "\xff first \nsecond"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil { // nobody writes to it
		t.Fatal(err)
	}
	want := []Veto{{"a", ""}, {"b", "a backup runs"}, {"long", strings.Repeat("x", maxWhy)}, {"more", "first"}, {"pipe", ""}}
	if diff := cmp.Diff(want, d.Vetoes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"", ".x", "../x", "a/b"} {
		if err := d.Veto(Veto{Who: name}); !errors.Is(err, ErrVetoName) {
			t.Errorf("veto %q: got %v", name, err)
		}
	}
}

func TestWhatCannotBeReadIsAVeto(t *testing.T) {
	d := newDir(t)
	if err := os.WriteFile(filepath.Join(d.Runtime, vetoDir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := d.Vetoes(); len(got) != 1 || got[0].Who != vetoDir || got[0].Why == "" {
		t.Errorf("got %v, want one that says what is wrong", got)
	}
}

func TestWatchVetoes(t *testing.T) {
	d := newDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, err := d.WatchVetoes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Veto(Veto{Who: "a"}); err != nil {
		t.Fatal(err)
	}
	await(t, changed, true)
	if err := d.EndVeto("a"); err != nil {
		t.Fatal(err)
	}
	for len(d.Vetoes()) > 0 {
		await(t, changed, true)
	}
	cancel()
	for range changed { // until it is closed
	}
}
