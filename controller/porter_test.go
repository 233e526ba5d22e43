package controller

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kedge/controller/internal/enroll"
	"kedge/controller/internal/pass"
	"kedge/proto"
)

func TestAHostIsLetInUntilItIsRevoked(t *testing.T) {
	for _, c := range []struct {
		name string
		keys func(*enroll.Book, string) func(proto.HostName) (enroll.Key, bool, error)
	}{
		{"by who leads", func(b *enroll.Book, _ string) func(proto.HostName) (enroll.Key, bool, error) { return keysIn(b) }},
		{"by a standby", func(_ *enroll.Book, dir string) func(proto.HostName) (enroll.Key, bool, error) {
			return func(h proto.HostName) (enroll.Key, bool, error) { return enroll.Newest(dir, h) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) { testPorter(t, c.keys) })
	}
}

func testPorter(t *testing.T, keys func(*enroll.Book, string) func(proto.HostName) (enroll.Key, bool, error)) {
	t.Helper()
	dir := t.TempDir()
	passes, err := pass.Open(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	book, err := enroll.Open(filepath.Join(dir, "hosts"))
	if err != nil {
		t.Fatal(err)
	}
	web1, now := parseHost(t, "web1"), time.Now()
	system, err := proto.ParseStorePath(proto.StoreDir + "00000000000000000000000000000000-nixos-system")
	if err != nil {
		t.Fatal(err)
	}
	p := &porter{passes: passes, key: keys(book, filepath.Join(dir, "hosts")), now: func() time.Time { return now }, toplevels: func(h proto.HostName) []proto.StorePath {
		if h != web1 {
			return nil
		}
		return []proto.StorePath{system}
	}}
	token := passes.Issue(web1, now).Reveal()
	if err := book.Enrol(web1, enroll.Key{PublicKey: "UONE", Added: now}); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Admit(token); err != nil || !slices.Equal(got, []proto.StorePath{system}) {
		t.Errorf("Admit = %v, %v", got, err)
	}
	if got, err := p.Admit(passes.Issue(parseHost(t, "db1"), now).Reveal()); err != nil || got != nil {
		t.Errorf("a host that was given nothing reads %v, %v", got, err)
	}
	if _, err := book.Revoke(web1, now, "admin"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Admit(token); !errors.Is(err, enroll.ErrRevoked) {
		t.Errorf("revoked: error = %v, want %v", err, enroll.ErrRevoked)
	}
	now = now.Add(time.Minute)
	if err := book.Enrol(web1, enroll.Key{PublicKey: "UTWO", Added: now}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Admit(token); !errors.Is(err, pass.ErrInvalid) {
		t.Errorf("enrolled anew: what the machine before had: error = %v, want %v", err, pass.ErrInvalid)
	}
	token = passes.Issue(web1, now).Reveal()
	if _, err := p.Admit(token); err != nil {
		t.Errorf("enrolled anew: error = %v", err)
	}
	now = now.Add(pass.Lifetime)
	if _, err := p.Admit(token); !errors.Is(err, pass.ErrInvalid) {
		t.Errorf("expired: error = %v, want %v", err, pass.ErrInvalid)
	}
}

func parseHost(t *testing.T, name string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
