package sign_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/sign"
	"kedge/proto"
)

// A rotation, from the first key to the second, while hosts that know only one of
// them accept what is signed.
func TestKeysSignSideBySide(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	release := releaseOf(t, s, "web1", 1)
	assignment, err := s.Assign(sign.Order{Release: release, Serial: 1, Issued: now})
	if err != nil {
		t.Fatal(err)
	}
	old := proto.Trust{ReleaseKeys: s.ReleaseKeys(), ControllerKeys: s.ControllerKeys()}
	var next proto.Trust
	for _, role := range []sign.Role{sign.Release, sign.Controller} {
		key, err := s.Add(role)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(key.Name(), string(role)+"-2") {
			t.Errorf("the second key of the %s is called %s", role, key.Name())
		}
		if role == sign.Release {
			next.ReleaseKeys = append(next.ReleaseKeys, key)
		} else {
			next.ControllerKeys = append(next.ControllerKeys, key)
		}
	}
	desired := proto.Desired{Format: proto.Format1, Release: release, Assignment: assignment}
	if !s.Stale(desired) {
		t.Error("what the old keys alone signed is not stale")
	}
	s = open(t, dir) // keys survive
	desired.Release = s.Countersign(release)
	if desired.Assignment, err = s.Renew(assignment, now.Add(time.Hour), nil, nil, proto.CacheToken{}); err != nil {
		t.Fatal(err)
	}
	if s.Stale(desired) {
		t.Error("what all keys signed is stale")
	}
	for name, trust := range map[string]proto.Trust{"old": old, "next": next} {
		if _, err := desired.Verify(trust, host(t, "web1"), proto.Floor{}, now.Add(time.Hour)); err != nil {
			t.Errorf("a host that trusts the %s keys: %v", name, err)
		}
	}

	for _, k := range slices.Concat(old.ReleaseKeys, old.ControllerKeys) {
		if err := s.Retire(k.Name()); err != nil {
			t.Fatal(err)
		}
		if err := s.Retire(k.Name()); !errors.Is(err, sign.ErrNoSuchKey) {
			t.Errorf("retire %s twice: got error %v, want %v", k.Name(), err, sign.ErrNoSuchKey)
		}
	}
	for _, k := range slices.Concat(next.ReleaseKeys, next.ControllerKeys) {
		if err := s.Retire(k.Name()); !errors.Is(err, sign.ErrLastKey) {
			t.Errorf("retire %s, the last one: got error %v, want %v", k.Name(), err, sign.ErrLastKey)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, secret := proto.ParseSecretKey(string(b))
		if retired := strings.HasSuffix(file, ".retired"); retired == (secret == nil) {
			t.Errorf("%s: holds a secret key: %t", file, secret == nil)
		}
	}
	s = open(t, dir)
	if got := s.ControllerKeys(); !slices.Equal(got, next.ControllerKeys) {
		t.Errorf("controller keys: got %v, want %v", got, next.ControllerKeys)
	}
	for name, want := range map[string]bool{
		old.ControllerKeys[0].Name(): true, old.ReleaseKeys[0].Name(): true, next.ControllerKeys[0].Name(): false, "nosuch": false,
	} {
		if got, err := s.Retired(name); got != want || err != nil {
			t.Errorf("%s was retired: %t, %v; want %t", name, got, err, want)
		}
	}
	if key, err := s.Add(sign.Controller); err != nil || !strings.HasSuffix(key.Name(), "-3") {
		t.Errorf("the third key: got %s, error %v; names are given once", key.Name(), err)
	}
	for range 2 {
		if _, err = s.Add(sign.Controller); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Add(sign.Controller); !errors.Is(err, sign.ErrTooManyKeys) {
		t.Errorf("a fifth key: got error %v, want %v", err, sign.ErrTooManyKeys)
	}
}

// What a controller without a release key cannot do, and what it goes on doing.
func TestNoReleaseKey(t *testing.T) {
	ci1, ci2 := open(t, t.TempDir()), open(t, t.TempDir())
	dir := t.TempDir()
	s, err := sign.Open(sign.Options{
		Dir: dir, Name: "test", NoRelease: true, Threshold: 2, Trusted: slices.Concat(ci1.ReleaseKeys(), ci2.ReleaseKeys()),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "release")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a release key was made: %v", err)
	}
	if _, err := s.Release(proto.Release{}); !errors.Is(err, sign.ErrHoldsNone) {
		t.Errorf("sign a release: got error %v, want %v", err, sign.ErrHoldsNone)
	}
	if _, err := s.Add(sign.Release); !errors.Is(err, sign.ErrHoldsNone) {
		t.Errorf("add a release key: got error %v, want %v", err, sign.ErrHoldsNone)
	}
	release := releaseOf(t, ci1, "web1", 1)
	if _, err := s.Assign(sign.Order{Release: release, Serial: 1, Issued: now}); !errors.Is(err, proto.ErrUnknownKey) {
		t.Errorf("assign what one of two signed: got error %v, want %v", err, proto.ErrUnknownKey)
	}
	if _, err := s.Assign(sign.Order{Release: ci2.Countersign(release), Serial: 1, Issued: now}); err == nil {
		t.Error("ci2 signed a release that is not its own")
	}
}

// What a spare key signed is not signed anew before it has expired: hosts may not
// trust ours.
func TestSpared(t *testing.T) {
	elsewhere := open(t, t.TempDir())
	s, err := sign.Open(sign.Options{Dir: t.TempDir(), Name: "test", Trusted: elsewhere.ReleaseKeys(), Spare: elsewhere.ControllerKeys()})
	if err != nil {
		t.Fatal(err)
	}
	o := sign.Order{Release: releaseOf(t, elsewhere, "web1", 1), Serial: 1, Issued: now}
	spare, err := elsewhere.Assign(o)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := s.Assign(o)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := open(t, t.TempDir()).Renew(ours, now.Add(time.Hour), nil, nil, proto.CacheToken{})
	if err == nil {
		t.Errorf("a stranger renewed ours: %+v", foreign)
	}
	if !s.Spared(spare, now.Add(proto.AssignmentLifetime-time.Second*2)) || s.Spared(spare, now.Add(proto.AssignmentLifetime)) || s.Spared(ours, now) {
		t.Error("spared is not what a spare key signed, until it expires")
	}
	if _, err := s.OpenAssignment(spare); err != nil {
		t.Errorf("open what the spare key signed: %v", err)
	}
}
