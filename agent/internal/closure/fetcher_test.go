package closure

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kedge/internal/nix"
	"kedge/proto"
)

const (
	toplevelText = "/nix/store/00000000000000000000000000000000-nixos-system-web1"
	otherText    = "/nix/store/11111111111111111111111111111111-app"
	keyText      = "cache-1:u5r1WmiTZeA2jW1yBHPVCBW9Cq1WJ7yq6SPQ4gqPjXM="
)

func parse(t *testing.T, s string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A fakeStore is a store that gets a closure, and caches that have it.
type fakeStore struct {
	t       *testing.T
	roots   Roots
	there   bool // the toplevel exists, valid or not
	valid   bool
	unasked error // why nobody knows
	closure proto.Closure
	answers map[string]error // by cache; nil delivers
	stuck   string           // the cache that delivers nothing, for ever
	asked   []string
	missing proto.Closure // what the last call of Bring was told
	closed  error         // what Closure fails with
}

func (f *fakeStore) Invalid(_ context.Context, paths ...proto.StorePath) ([]proto.StorePath, error) {
	if f.unasked != nil {
		return nil, f.unasked
	}
	if f.valid {
		return nil, nil
	}
	return paths, nil
}

func (f *fakeStore) Closure(context.Context, ...proto.StorePath) (proto.Closure, error) {
	return f.closure, f.closed
}

func (f *fakeStore) Bring(ctx context.Context, cache string, o FetchOrder) (proto.Closure, error) {
	f.asked = append(f.asked, cache)
	f.missing = o.Missing
	if len(o.TrustedKeys) != 1 {
		f.t.Errorf("%d keys", len(o.TrustedKeys))
	}
	if got, err := os.Readlink(filepath.Join(f.roots.Dir, rootStaged)); err != nil || got != o.Toplevel.String() {
		f.t.Errorf("fetching without a root: %q, %v", got, err)
	}
	if cache == f.stuck {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := f.answers[cache]; err != nil {
		return nil, err
	}
	f.valid = true
	return f.closure, nil
}

func newFetch(t *testing.T) (*fakeStore, Fetcher, FetchOrder) {
	t.Helper()
	var key proto.PublicKey
	if err := key.UnmarshalText([]byte(keyText)); err != nil {
		t.Fatal(err)
	}
	toplevel := parse(t, toplevelText)
	s := &fakeStore{
		t: t, roots: Roots{Dir: filepath.Join(t.TempDir(), "gcroots/kedge")},
		closure: proto.Closure{{Path: toplevel, NarHash: "sha256:" + strings.Repeat("0", 52), NarSize: 7}},
	}
	f := Fetcher{Root: t.TempDir(), Transport: s, Store: s, Roots: s.roots, Timeout: time.Hour, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	return s, f, FetchOrder{
		Toplevel: toplevel, Closure: s.closure.Digest(), Caches: []string{"http://a", "http://b"}, TrustedKeys: []proto.PublicKey{key},
	}
}

// requireReason fails the test unless err is a rejection for that reason which
// names the toplevel.
func requireReason(t *testing.T, err error, want proto.Reason) {
	t.Helper()
	var r *Rejection
	if !errors.As(err, &r) || r.Reason != want || !strings.Contains(err.Error(), toplevelText) {
		t.Errorf("got %v, want a rejection for %s", err, want)
	}
}

func rejected(r proto.Reason) error { return &Rejection{Reason: r, Err: errors.New(string(r))} }

func TestFetch(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*fakeStore, *FetchOrder)
		reason  proto.Reason // empty: fetched
		asked   []string
	}{
		{"from the first cache", func(*fakeStore, *FetchOrder) {}, "", []string{"http://a"}},
		{"present already", func(s *fakeStore, _ *FetchOrder) { s.there, s.valid = true, true }, "", nil},
		{"half of it is there", func(s *fakeStore, _ *FetchOrder) { s.there = true }, "", []string{"http://a"}},
		{
			"present already, without caches or keys",
			func(s *fakeStore, o *FetchOrder) { s.there, s.valid, o.Caches, o.TrustedKeys = true, true, nil, nil }, "", nil,
		},
		{
			"from the second cache", func(s *fakeStore, _ *FetchOrder) {
				s.answers = map[string]error{"http://a": rejected(proto.ReasonCacheUnreachable)}
			}, "",
			[]string{"http://a", "http://b"},
		},
		{
			"no cache answers", func(s *fakeStore, _ *FetchOrder) {
				s.answers = map[string]error{"http://a": rejected(proto.ReasonCacheUnreachable), "http://b": rejected(proto.ReasonCacheUnreachable)}
			}, proto.ReasonCacheUnreachable,
			[]string{"http://a", "http://b"},
		},
		{
			"the worst of several reasons", func(s *fakeStore, _ *FetchOrder) {
				s.answers = map[string]error{"http://a": rejected(proto.ReasonUntrustedPath), "http://b": errors.New("strange")}
			}, proto.ReasonUntrustedPath,
			[]string{"http://a", "http://b"},
		},
		{
			"a full disk is not tried again", func(s *fakeStore, _ *FetchOrder) {
				s.answers = map[string]error{"http://a": rejected(proto.ReasonDiskFull)}
			}, proto.ReasonDiskFull,
			[]string{"http://a"},
		},
		{"other bytes than those signed", func(_ *fakeStore, o *FetchOrder) { o.Closure = proto.DigestOf([]byte("x")) }, proto.ReasonDigestMismatch, []string{"http://a"}},
		{
			"other bytes in the second cache", func(s *fakeStore, o *FetchOrder) {
				s.answers = map[string]error{"http://a": rejected(proto.ReasonCacheUnreachable)}
				o.Closure = proto.DigestOf([]byte("x"))
			}, proto.ReasonDigestMismatch,
			[]string{"http://a", "http://b"},
		},
		{
			"other bytes in the host's own store",
			func(s *fakeStore, o *FetchOrder) {
				s.there, s.valid, o.Closure = true, true, proto.DigestOf([]byte("x"))
			}, proto.ReasonDigestMismatch, nil,
		},
		{"no digest was signed", func(_ *fakeStore, o *FetchOrder) { o.Closure = proto.Digest{} }, proto.ReasonDigestMismatch, []string{"http://a"}},
		{"no caches", func(_ *fakeStore, o *FetchOrder) { o.Caches = nil }, proto.ReasonFetchFailed, nil},
		{"no keys", func(_ *fakeStore, o *FetchOrder) { o.TrustedKeys = nil }, proto.ReasonUntrustedPath, nil},
		{"the store cannot be read", func(s *fakeStore, _ *FetchOrder) {
			s.there, s.valid, s.closed = true, true, errors.New("database is locked")
		}, proto.ReasonFetchFailed, nil},
		{"no room for a root", func(s *fakeStore, _ *FetchOrder) { s.there, s.valid, s.closed = true, true, unix.ENOSPC }, proto.ReasonDiskFull, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, f, o := newFetch(t)
			tt.prepare(s, &o)
			if s.there {
				if err := os.MkdirAll(filepath.Join(f.Root, o.Toplevel.String()), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			err := f.Fetch(t.Context(), o)
			if tt.reason == "" {
				if err != nil {
					t.Error(err)
				}
			} else {
				requireReason(t, err, tt.reason)
			}
			if diff := cmp.Diff(tt.asked, s.asked); diff != "" {
				t.Errorf("caches asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	s, f, o := newFetch(t)
	overtaken := errors.New("a newer assignment came")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(overtaken)
	s.answers = map[string]error{"http://a": context.Canceled}
	err := f.Fetch(ctx, o)
	var r *Rejection
	if !errors.Is(err, overtaken) || errors.As(err, &r) {
		t.Errorf("got %v", err)
	}
	if len(s.asked) > 1 {
		t.Errorf("asked %q", s.asked)
	}
}

func TestACacheThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, o := newFetch(t)
		s.stuck = "http://a"
		begun := time.Now()
		if err := f.Fetch(t.Context(), o); err != nil {
			t.Errorf("with another cache: %v", err)
		}
		if took := time.Since(begun); took != f.Timeout {
			t.Errorf("the slow cache had %s, want %s", took, f.Timeout)
		}

		s.valid, s.asked, o.Caches = false, nil, o.Caches[:1]
		err := f.Fetch(t.Context(), o)
		requireReason(t, err, proto.ReasonCacheUnreachable)
		if !strings.Contains(err.Error(), "fetch.timeout, 1h0m0s") {
			t.Errorf("%q does not say what bounded it", err)
		}
	})
}

// A substituter fails with err, or brings the closure.
type substituter struct {
	options nix.SubstituteOptions
	closure proto.Closure
	err     error
}

func (s *substituter) Substitute(_ context.Context, o nix.SubstituteOptions) (proto.Closure, error) {
	s.options = o
	return s.closure, s.err
}

func TestSubstitution(t *testing.T) {
	plenty := func() (uint64, error) { return 1 << 40, nil }
	little := func() (uint64, error) { return 1 << 20, nil }
	tests := []struct {
		name   string
		stderr string // of Nix; empty: it succeeds
		free   func() (uint64, error)
		want   proto.Reason
	}{
		{"good", "", plenty, ""},
		{"no signature", "error: cannot add path '" + toplevelText + "' because it lacks a signature by a trusted key", plenty, proto.ReasonUntrustedPath},
		{"foreign signature", "warning: ignoring substitute for '" + toplevelText + "' from 'http://a', as it's not signed by any of the keys in 'trusted-public-keys'", plenty, proto.ReasonUntrustedPath},
		{"nobody listens", "error: unable to download 'http://a/nix-cache-info': Could not connect to server (7)", plenty, proto.ReasonCacheUnreachable},
		{"nobody listens, older curl", "error: unable to download 'http://a/nix-cache-info': Couldn't connect to server (7)", plenty, proto.ReasonCacheUnreachable},
		{"no such name", "error: unable to download 'http://a/nix-cache-info': Could not resolve hostname (6)", plenty, proto.ReasonCacheUnreachable},
		{"out of order", "error: unable to download 'http://a/x.narinfo': HTTP error 503", plenty, proto.ReasonCacheUnreachable},
		{"silent", "error: unable to download 'http://a/x.nar': Timeout was reached (28)", plenty, proto.ReasonCacheUnreachable},
		{"another site", "error: 'http://a' does not appear to be a binary cache", plenty, proto.ReasonCacheUnreachable},
		{"not there", "error: path '" + toplevelText + "' does not exist in binary cache 'http://a'", plenty, proto.ReasonFetchFailed},
		{"other bytes", "error: hash mismatch importing path '" + otherText + "';\n specified: sha256:0\n got: sha256:1", plenty, proto.ReasonDigestMismatch},
		{"bytes that are no archive", "error: non-zero padding", plenty, proto.ReasonDigestMismatch},
		{"disk full", "error: writing to file: No space left on device", plenty, proto.ReasonDiskFull},
		{"disk full of the database", "error: executing SQLite statement: database or disk is full, in '/nix/var/nix/db/db.sqlite'", plenty, proto.ReasonDiskFull},
		{"disk full in other words", "error: something went wrong", little, proto.ReasonDiskFull},
		{"disk nearly full, but the cache is down", "error: unable to download: Connection refused", plenty, proto.ReasonCacheUnreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &substituter{closure: proto.Closure{{Path: parse(t, toplevelText)}}}
			if tt.stderr != "" {
				c.err = &nix.CommandError{Args: []string{"nix-store", "--serve"}, Stderr: "copying 3 paths...\n" + tt.stderr, Err: errors.New("the path did not arrive")}
			}
			got, err := Substitution{Nix: c, Free: tt.free}.Bring(t.Context(), "http://a", FetchOrder{Toplevel: parse(t, toplevelText), TrustedKeys: make([]proto.PublicKey, 2)})
			var r *Rejection
			switch {
			case tt.want == "" && err != nil, tt.want != "" && (!errors.As(err, &r) || r.Reason != tt.want):
				t.Errorf("got %v, want %q", err, tt.want)
			case tt.want == "" && len(got) != 1:
				t.Errorf("got %v, want what was brought", got)
			}
			if c.options.From != "http://a" || c.options.Path != parse(t, toplevelText) || len(c.options.TrustedKeys) != 2 {
				t.Errorf("called with %+v", c.options)
			}
		})
	}
}

func TestSubstitutionRefusesWhatIsNoCache(t *testing.T) {
	for _, url := range []string{"ssh://root@build", "file:///tmp", "http://", "-h"} {
		c := &substituter{}
		if _, err := (Substitution{Nix: c}).Bring(t.Context(), url, FetchOrder{Toplevel: parse(t, toplevelText), TrustedKeys: make([]proto.PublicKey, 1)}); err == nil || c.options.From != "" {
			t.Errorf("%q: got %v, called with %+v", url, err, c.options)
		}
	}
}

// A transport is told what is missing, as far as it is known.
func TestTheTransportKnowsWhatIsMissing(t *testing.T) {
	s, f, o := newFetch(t)
	f.Room = func(context.Context, FetchOrder) (proto.Closure, error) { return s.closure, nil }
	if err := f.Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.closure.Text(), s.missing.Text()); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
}

func TestRoots(t *testing.T) {
	r := Roots{Dir: filepath.Join(t.TempDir(), "gcroots/kedge")}
	a, b := parse(t, toplevelText), parse(t, otherText)
	for _, err := range []error{r.Stage(b), r.Stage(a), r.Current(b), r.Prove(a), r.Back(b)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"staged": toplevelText, "current": otherText, "proven": toplevelText, "back": otherText} {
		if got, err := os.Readlink(filepath.Join(r.Dir, name)); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestKeep(t *testing.T) {
	s, f, o := newFetch(t)
	waits := parse(t, otherText)
	if err := s.roots.Stage(waits); err != nil {
		t.Fatal(err)
	}
	requireGone := func(want bool) {
		t.Helper()
		err := f.Keep(t.Context(), o.Toplevel)
		requireReason(t, err, proto.ReasonFetchFailed)
		if errors.Is(err, ErrGone) != want {
			t.Errorf("got %v, want it to be known that it is gone: %t", err, want)
		}
	}
	requireGone(true)
	if err := os.MkdirAll(filepath.Join(f.Root, toplevelText), 0o755); err != nil {
		t.Fatal(err)
	}
	requireGone(true) // not whole
	s.unasked = errors.New("query " + toplevelText + ": the database is locked")
	requireGone(false)
	s.valid, s.unasked = true, nil
	if err := f.Keep(t.Context(), o.Toplevel); err != nil {
		t.Error(err)
	}
	for root, want := range map[string]string{rootBack: toplevelText, rootStaged: otherText} {
		if got, err := os.Readlink(filepath.Join(s.roots.Dir, root)); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", root, got, err, want)
		}
	}
	if len(s.asked) > 0 {
		t.Errorf("asked %q, want no cache", s.asked)
	}
}
