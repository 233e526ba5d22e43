package closure

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

// arrivedRoots returns what the roots keep of what has arrived, in order.
func arrivedRoots(t *testing.T, r Roots) (kept []string) {
	t.Helper()
	links, err := filepath.Glob(filepath.Join(r.Dir, fetchFolder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, target)
	}
	return kept
}

// newPartialFetch returns a fetch of two paths, with caches of which the first brings
// one of them and fails with what is in why.
func newPartialFetch(t *testing.T, why *error) (*fakeStore, Fetcher, FetchOrder) {
	t.Helper()
	s, f, o := newFetch(t)
	all := closureOf(t, map[string]uint64{toplevelText: 7, otherText: 100})
	f.Room = func(context.Context, FetchOrder) (proto.Closure, error) { return missingOf(all, f.Root), nil }
	f.Transport = transportOf(func(ctx context.Context, cache string, o FetchOrder) (proto.Closure, error) {
		if err := os.MkdirAll(filepath.Join(f.Root, otherText), 0o755); err != nil {
			t.Fatal(err)
		}
		if *why != nil {
			return nil, *why
		}
		return s.Bring(ctx, cache, o)
	})
	return s, f, o
}

type transportOf func(ctx context.Context, cache string, o FetchOrder) (proto.Closure, error)

// Bring implements Transport.
func (f transportOf) Bring(ctx context.Context, cache string, o FetchOrder) (proto.Closure, error) {
	return f(ctx, cache, o)
}

func TestWhatHasArrivedIsKeptUntilTheRestHas(t *testing.T) {
	why := rejected(proto.ReasonCacheUnreachable)
	s, f, o := newPartialFetch(t, &why)
	for range 2 { // the second time it is not missing, and stays kept
		requireReason(t, f.Fetch(t.Context(), o), proto.ReasonCacheUnreachable)
		if diff := cmp.Diff([]string{otherText}, arrivedRoots(t, s.roots)); diff != "" {
			t.Errorf("kept between attempts (-want +got):\n%s", diff)
		}
	}
	why = nil
	if err := f.Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if kept := arrivedRoots(t, s.roots); len(kept) > 0 {
		t.Errorf("%q are kept by more than the staged root", kept)
	}
}

func TestWhatHasArrivedIsKeptWhenAFetchIsCutShort(t *testing.T) {
	why := context.Canceled
	s, f, o := newPartialFetch(t, &why)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Fetch(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{otherText}, arrivedRoots(t, s.roots)); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

// TestAFetchThatSucceedsAtOnceMakesNoRoots: a large one would make hundreds.
func TestAFetchThatSucceedsAtOnceMakesNoRoots(t *testing.T) {
	var why error
	s, f, o := newPartialFetch(t, &why)
	f.Brought = func(uint64) {
		if _, err := os.Lstat(filepath.Join(s.roots.Dir, fetchFolder)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want no folder for them", err)
		}
	}
	if err := f.Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func TestWhatHasArrivedIsLetGo(t *testing.T) {
	for name, end := range map[string]func(f Fetcher, o FetchOrder, why *error) error{
		"when it is given up":            func(f Fetcher, _ FetchOrder, _ *error) error { return f.GiveUp() },
		"when another system is fetched": func(f Fetcher, _ FetchOrder, _ *error) error { return f.Roots.Stage(parse(t, oldSystem)) },
		"when a cache finds no room": func(f Fetcher, o FetchOrder, why *error) error {
			*why = rejected(proto.ReasonDiskFull)
			requireReason(t, f.Fetch(t.Context(), o), proto.ReasonDiskFull)
			return nil
		},
		"when there is no room": func(f Fetcher, o FetchOrder, _ *error) error {
			f.Room = func(context.Context, FetchOrder) (proto.Closure, error) { return nil, rejected(proto.ReasonDiskFull) }
			requireReason(t, f.Fetch(t.Context(), o), proto.ReasonDiskFull)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			why := rejected(proto.ReasonCacheUnreachable)
			s, f, o := newPartialFetch(t, &why)
			requireReason(t, f.Fetch(t.Context(), o), proto.ReasonCacheUnreachable)
			if !slices.Contains(arrivedRoots(t, s.roots), otherText) {
				t.Fatal("nothing is kept")
			}
			if err := end(f, o, &why); err != nil {
				t.Fatal(err)
			}
			if kept := arrivedRoots(t, s.roots); len(kept) > 0 {
				t.Errorf("%q are kept", kept)
			}
		})
	}
}
