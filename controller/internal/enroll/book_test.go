package enroll

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/durable"
	"kedge/proto"
)

func host(t *testing.T, s string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestBook(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hosts")
	web1, db1 := host(t, "web1"), host(t, "db1")
	first := Key{PublicKey: "UA", Added: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), By: "admin"}
	second := Key{PublicKey: "UB", Added: first.Added.Add(time.Hour), By: "admin"}
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []Key{first, second, {PublicKey: "UA", By: "somebody else"}} {
		if err := b.Add(web1, k); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add(db1, first); err != nil {
		t.Fatal(err)
	}

	if b, err = Open(dir); err != nil { // as after a restart
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"db1", "web1"}, names(b)); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Key{first, second}, b.entries[web1].Keys); diff != "" {
		t.Errorf("keys of web1 (-want +got):\n%s", diff)
	}
}

func names(b *Book) []string {
	var s []string
	for _, h := range b.Hosts() {
		s = append(s, h.String())
	}
	return s
}

func TestBookRefusesWhatItDoesNotUnderstand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "web1.json")
	if err := os.WriteFile(file, []byte(`{"format":`), 0o600); err != nil {
		t.Fatal(err)
	}
	var corrupt *durable.CorruptError
	if _, err := Open(dir); !errors.As(err, &corrupt) {
		t.Errorf("error = %v, want a *durable.CorruptError", err)
	}
	if err := os.Rename(file, filepath.Join(dir, "Web_1.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, proto.ErrInvalidHostName) {
		t.Errorf("error = %v, want one about the name", err)
	}
}
