package sign_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/sign"
	"kedge/internal/keyfile"
	"kedge/proto"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func TestAHostAcceptsWhatWasSigned(t *testing.T) {
	signer := open(t, t.TempDir())
	release := releaseOf(t, signer, "web1", 7)
	assignment, err := signer.Assign(sign.Order{Release: release, Serial: 9, Issued: now, Caches: []string{"http://build:8080/cache"}})
	if err != nil {
		t.Fatal(err)
	}

	trust := proto.Trust{ReleaseKeys: signer.ReleaseKeys(), ControllerKeys: signer.ControllerKeys()}
	desired := proto.Desired{Format: proto.Format1, Release: release, Assignment: assignment}
	order, err := desired.Verify(trust, host(t, "web1"), proto.Floor{}, now)
	if err != nil {
		t.Fatal(err)
	}
	issued := now.Truncate(time.Second)
	want := proto.Assignment{
		Format: 1, Host: host(t, "web1"), Serial: 9, Issued: issued, Expires: issued.Add(24 * time.Hour),
		Release: proto.DigestOf(release.Payload), Caches: []string{"http://build:8080/cache"},
	}
	if diff := cmp.Diff(want, order.Assignment, comparers); diff != "" {
		t.Errorf("assignment (-want +got):\n%s", diff)
	}
	if got := order.Release.Serial; got != 7 {
		t.Errorf("serial of the release: got %d, want 7", got)
	}
}

func TestKeysSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first, second := open(t, dir), open(t, dir)
	if diff := cmp.Diff(first.ReleaseKeys(), second.ReleaseKeys(), comparers); diff != "" {
		t.Errorf("release keys (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(first.ControllerKeys(), second.ControllerKeys(), comparers); diff != "" {
		t.Errorf("controller keys (-first +second):\n%s", diff)
	}
	if first.ReleaseKeys()[0].String() == first.ControllerKeys()[0].String() {
		t.Error("one key signs releases and assignments; want two")
	}
}

func TestOpenRefusesATornKey(t *testing.T) {
	for _, name := range []string{"release", "controller"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir)
			if err := os.Truncate(filepath.Join(dir, name), 30); err != nil {
				t.Fatal(err)
			}
			_, err := sign.Open(sign.Options{Dir: dir, Name: "test"})
			if !errors.As(err, new(*keyfile.DamagedError)) {
				t.Errorf("got %v, want a DamagedError", err)
			}
		})
	}
}

func TestAssignTakesReleasesOfTrustedKeysOnly(t *testing.T) {
	ci := open(t, t.TempDir())
	release := releaseOf(t, ci, "web1", 1)

	stranger := open(t, t.TempDir())
	if _, err := stranger.Assign(sign.Order{Release: release, Serial: 1, Issued: now}); !errors.Is(err, proto.ErrUnknownKey) {
		t.Errorf("release by a foreign key: got error %v, want ErrUnknownKey", err)
	}
	friend, err := sign.Open(sign.Options{Dir: t.TempDir(), Name: "friend", Trusted: ci.ReleaseKeys()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := friend.Assign(sign.Order{Release: release, Serial: 1, Issued: now}); err != nil {
		t.Errorf("release by a trusted key: %v", err)
	}
}

func TestAssignRefusesAnAssignmentForARelease(t *testing.T) {
	signer := open(t, t.TempDir())
	assignment, err := signer.Assign(sign.Order{Release: releaseOf(t, signer, "web1", 1), Serial: 1, Issued: now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Assign(sign.Order{Release: assignment, Serial: 2, Issued: now}); !errors.Is(err, proto.ErrMalformed) {
		t.Errorf("got error %v, want ErrMalformed", err)
	}
	if _, err := signer.Assign(sign.Order{Release: releaseOf(t, signer, "web1", 1), Issued: now}); err == nil {
		t.Error("serial 0 was signed")
	}
}

func TestRenewKeepsAllButTheInstantAndTheCaches(t *testing.T) {
	signer := open(t, t.TempDir())
	release := releaseOf(t, signer, "web1", 1)
	old, err := signer.Assign(sign.Order{Release: release, Serial: 5, Issued: now, Mode: proto.ModeSwitch, Caches: []string{"http://a/"}})
	if err != nil {
		t.Fatal(err)
	}

	later := now.Add(proto.AssignmentRenewal)
	renewed, err := signer.Renew(old, later, []string{"http://near/"}, []string{"http://b/"}, proto.CacheToken{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := proto.OpenAssignment(renewed, signer.ControllerKeys())
	if err != nil {
		t.Fatal(err)
	}
	issued := later.Truncate(time.Second)
	want := proto.Assignment{
		Format: 1, Host: host(t, "web1"), Serial: 5, Issued: issued, Expires: issued.Add(24 * time.Hour),
		Release: proto.DigestOf(release.Payload), Mode: proto.ModeSwitch, Near: []string{"http://near/"}, Caches: []string{"http://b/"},
	}
	if diff := cmp.Diff(want, got, comparers); diff != "" {
		t.Errorf("renewed assignment (-want +got):\n%s", diff)
	}

	if _, err := signer.Renew(old, now.Add(-time.Hour), nil, nil, proto.CacheToken{}); err == nil || !strings.Contains(err.Error(), "check the controller's clock") {
		t.Errorf("renew an hour before: got error %v, want one about the clock", err)
	}
	for _, at := range []time.Time{now, now.Add(time.Millisecond)} {
		if _, err := signer.Renew(old, at, nil, nil, proto.CacheToken{}); err != nil {
			t.Errorf("renew %v later: %v", at.Sub(now), err)
		}
	}
	if _, err := open(t, t.TempDir()).Renew(old, later, nil, nil, proto.CacheToken{}); !errors.Is(err, proto.ErrUnknownKey) {
		t.Errorf("renew a foreign assignment: got error %v, want ErrUnknownKey", err)
	}
}

func open(t *testing.T, dir string) *sign.Signer {
	t.Helper()
	s, err := sign.Open(sign.Options{Dir: dir, Name: filepath.Base(dir), Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func releaseOf(t *testing.T, s *sign.Signer, name string, serial proto.Serial) proto.Envelope {
	t.Helper()
	toplevel, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-nixos-system-" + name)
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Release(proto.Release{
		Host: host(t, name), Serial: serial, Toplevel: toplevel, Closure: proto.DigestOf([]byte("closure")),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func host(t *testing.T, name string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// comparers compare the values of proto that hide their fields.
var comparers = cmp.Options{
	cmp.Comparer(func(a, b proto.HostName) bool { return a == b }),
	cmp.Comparer(func(a, b proto.Digest) bool { return a == b }),
	cmp.Comparer(func(a, b proto.PublicKey) bool { return a == b }),
	cmp.Comparer(func(a, b proto.CacheToken) bool { return a == b }),
}
