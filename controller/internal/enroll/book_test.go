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

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func host(t *testing.T, s string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func open(t *testing.T, dir string) *Book {
	t.Helper()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheNewestKeyCounts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hosts")
	web1, db1 := host(t, "web1"), host(t, "db1")
	first := Key{PublicKey: "UA", Added: noon, By: "ada", Expires: noon.Add(time.Hour)}
	second := Key{PublicKey: "UB", Added: noon.Add(time.Minute), By: "eva", Expires: noon.Add(time.Hour)}
	b := open(t, dir)
	check(t, b.Enrol(web1, first))
	check(t, b.Enrol(db1, Key{PublicKey: "UC", Added: noon, By: "ada"}))
	check(t, b.Enrol(web1, second))
	again := second
	again.By, again.Expires = "somebody else", noon.Add(2*time.Hour)
	check(t, b.Enrol(web1, again))
	if err := b.Enrol(web1, first); !errors.Is(err, ErrRevoked) {
		t.Errorf("the first key again: error = %v, want %v", err, ErrRevoked)
	}
	if err := b.Enrol(db1, first); !errors.Is(err, ErrTaken) {
		t.Errorf("the first key for another host: error = %v, want %v", err, ErrTaken)
	}

	b = open(t, dir) // as after a restart
	if diff := cmp.Diff([]string{"db1", "web1"}, names(b)); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	first.Revoked, first.RevokedBy = second.Added, "eva"
	second.Expires = again.Expires
	if diff := cmp.Diff([]Key{first, second}, b.entries[web1].Keys); diff != "" {
		t.Errorf("keys of web1 (-want +got):\n%s", diff)
	}
	if k, known := b.Newest(web1); !known || k != second {
		t.Errorf("newest = %+v, %t", k, known)
	}
}

func TestRevokedKeysAreKnownAfterARestart(t *testing.T) {
	dir := t.TempDir()
	web1, db1 := host(t, "web1"), host(t, "db1")
	b := open(t, dir)
	check(t, b.Enrol(web1, Key{PublicKey: "UA", Added: noon, By: "ada", Expires: noon.Add(time.Hour)}))
	check(t, b.Enrol(db1, Key{PublicKey: "UB", Added: noon, By: "ada"}))
	for _, h := range []proto.HostName{web1, db1} {
		if counted, err := b.Revoke(h, noon.Add(time.Minute), "eva"); err != nil || !counted {
			t.Errorf("revoke %s: counted %t, error %v", h, counted, err)
		}
	}
	if counted, err := b.Revoke(web1, noon.Add(time.Hour), "ada"); err != nil || counted {
		t.Errorf("revoked twice: counted %t, error %v", counted, err)
	}
	if k, _ := b.Newest(web1); k.RevokedBy != "eva" || !k.Revoked.Equal(noon.Add(time.Minute)) {
		t.Errorf("revoked twice: %+v", k)
	}
	if _, err := b.Revoke(host(t, "nosuch"), noon, "eva"); !errors.Is(err, ErrUnknownHost) {
		t.Errorf("a host without keys: error = %v, want %v", err, ErrUnknownHost)
	}

	b = open(t, dir)
	for _, c := range []struct {
		name   string
		before time.Time
		want   []string
	}{
		{"both, while there may be credentials", noon.Add(time.Hour), []string{"UA", "UB"}},
		{"one that never expires, for ever", noon.Add(2 * time.Hour), []string{"UB"}},
	} {
		if diff := cmp.Diff(c.want, b.Revoked(c.before)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestWhatCannotBeWrittenIsNotSo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hosts")
	web1 := host(t, "web1")
	b := open(t, dir)
	check(t, b.Enrol(web1, Key{PublicKey: "UA", Added: noon, By: "ada"}))
	check(t, os.Rename(dir, dir+".away"))
	if _, err := b.Revoke(web1, noon, "eva"); err == nil {
		t.Error("revoked without a disk")
	}
	if k, _ := b.Newest(web1); k.IsRevoked() {
		t.Error("the key is revoked in memory only")
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

// Credentials that live for long may have been made before a shorter lifetime was set.
func TestAKeyIsRevokedForAsLongAsAnyOfItsCredentials(t *testing.T) {
	b, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	web1, year := host(t, "web1"), noon.AddDate(1, 0, 0)
	for _, expires := range []time.Time{year, noon.Add(time.Hour)} {
		if err := b.Enrol(web1, Key{PublicKey: "UONE", Added: noon, Expires: expires}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Revoke(web1, noon, "ada"); err != nil {
		t.Fatal(err)
	}
	for before, want := range map[time.Time]int{year: 1, year.Add(time.Second): 0} {
		if got := b.Revoked(before); len(got) != want {
			t.Errorf("before %s: %v are revoked, want %d", before, got, want)
		}
	}
}
