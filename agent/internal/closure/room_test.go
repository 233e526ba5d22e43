package closure

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kedge/agent/internal/bootdir"
	"kedge/proto"
)

// volumes are the file systems of a host: path → what it says, or what it fails
// with.
type volumes map[string]any

// in returns them as those of a host at root.
func (v volumes) in(root string) func(path string) (Volume, error) {
	return func(path string) (Volume, error) {
		switch is := v["/"+strings.Trim(strings.TrimPrefix(path, root), "/")].(type) {
		case Volume:
			return is, nil
		case error:
			return Volume{}, is
		default:
			return Volume{}, fs.ErrNotExist
		}
	}
}

// lists has a closure list, or an error, for each cache.
type lists map[string]any

func (l lists) List(_ context.Context, cache string, _ proto.StorePath) ([]byte, error) {
	switch is := l[cache].(type) {
	case []byte:
		return is, nil
	case error:
		return nil, is
	default:
		return nil, errors.New("404 Not Found")
	}
}

func closureOf(t *testing.T, sizes map[string]uint64) (c proto.Closure) {
	t.Helper()
	for path, n := range sizes {
		c = append(c, proto.ClosurePath{Path: parse(t, path), NarHash: "sha256:" + strings.Repeat("0", 52), NarSize: n})
	}
	return c
}

func TestRoom(t *testing.T) {
	const mib = 1 << 20
	// 100 MiB are missing, 64 MiB have to stay free: 174 MiB.
	c := closureOf(t, map[string]uint64{toplevelText: 100 * mib, otherText: 1000 * mib})
	healthy := func() volumes {
		return volumes{
			storeDir: Volume{Free: 174 * mib, Inodes: 1010, Files: 5000, ReadOnly: true}, // as NixOS mounts it
			stateDir: Volume{}, bootdir.Default: Volume{},
		}
	}
	for _, tt := range []struct {
		name   string
		change func(v volumes, l lists)
		reason proto.Reason // empty: it fits
		says   []string
	}{
		{"it just fits", func(volumes, lists) {}, "", nil},
		{"one byte too few", func(v volumes, _ lists) {
			v[storeDir] = Volume{Free: 174*mib - 1, Inodes: 1010, Files: 5000}
		}, proto.ReasonDiskFull, []string{"needs 174 MiB in /nix/store", "174 MiB free", "100 MiB (1 paths) missing in the store"}},
		{"too few inodes", func(v volumes, _ lists) {
			v[storeDir] = Volume{Free: 174 * mib, Inodes: 1009, Files: 5000}
		}, proto.ReasonDiskFull, []string{"needs 1010 inodes", "1009 free", "1 paths missing"}},
		{"a file system without a number of inodes", func(v volumes, _ lists) {
			v[storeDir] = Volume{Free: 174 * mib}
		}, "", nil},
		{"no cache has the list", func(v volumes, l lists) {
			clear(l)
			v[storeDir] = Volume{}
		}, "", nil},
		{"the second cache has it", func(v volumes, l lists) {
			l["http://a"], l["http://b"] = errors.New("503"), l["http://a"]
			v[storeDir] = Volume{}
		}, proto.ReasonDiskFull, []string{"100 MiB"}},
		{"a list that was not signed says nothing", func(v volumes, l lists) {
			l["http://a"] = closureOf(t, map[string]uint64{toplevelText: 1 << 60}).Text()
		}, "", nil},
		{"a read-only database", func(v volumes, _ lists) { v[stateDir] = Volume{ReadOnly: true} }, proto.ReasonReadOnly, []string{"/nix/var/nix"}},
		{"a read-only boot partition", func(v volumes, _ lists) { v[bootdir.Default] = Volume{ReadOnly: true} }, proto.ReasonReadOnly, []string{"/boot"}},
		{"no boot partition", func(v volumes, _ lists) { delete(v, bootdir.Default) }, "", nil},
		{"a disk that fails", func(v volumes, _ lists) { v[bootdir.Default] = error(unix.EIO) }, proto.ReasonFetchFailed, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Join(root, otherText), 0o755); err != nil {
				t.Fatal(err)
			}
			v, l := healthy(), lists{"http://a": c.Text()}
			tt.change(v, l)
			r := Room{Lists: l, Reserve: 64 * mib, Root: root, Volume: v.in(root), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
			_, err := r.Check(t.Context(), FetchOrder{Toplevel: parse(t, toplevelText), Closure: c.Digest(), Caches: []string{"http://a", "http://b"}})
			if tt.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			rejection, ok := errors.AsType[*Rejection](err)
			if !ok || rejection.Reason != tt.reason {
				t.Fatalf("got %v, want a rejection for %s", err, tt.reason)
			}
			for _, words := range tt.says {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("%q does not say %q", err, words)
				}
			}
		})
	}
}

func TestRoomIsMade(t *testing.T) {
	const mib = 1 << 20
	// 10 MiB are missing, 64 MiB have to stay free: 75 MiB.
	c := closureOf(t, map[string]uint64{toplevelText: 10 * mib})
	for _, tt := range []struct {
		name     string
		free     uint64
		makeRoom func(v volumes) error
		asked    bool
		reason   proto.Reason
	}{
		{"there is enough", 75 * mib, func(volumes) error { return nil }, false, ""},
		{"enough is made", 75*mib - 1, func(v volumes) error { v[storeDir] = Volume{Free: 75 * mib}; return nil }, true, ""},
		{"too little is made", 0, func(v volumes) error { v[storeDir] = Volume{Free: 75*mib - 1}; return nil }, true, proto.ReasonDiskFull},
		{"that fails, and it was enough", 0, func(v volumes) error { v[storeDir] = Volume{Free: 75 * mib}; return unix.EIO }, true, ""},
		{"that fails", 0, func(volumes) error { return unix.EIO }, true, proto.ReasonDiskFull},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			v := volumes{storeDir: Volume{Free: tt.free}, stateDir: Volume{}}
			asked := false
			r := Room{Lists: lists{"http://a": c.Text()}, Reserve: 64 * mib, Root: root, Volume: v.in(root), Log: slog.New(slog.DiscardHandler)}
			r.MakeRoom = func(_ context.Context, bytes uint64) error {
				if asked = true; bytes != 75*mib {
					t.Errorf("asked for %d bytes, want %d", bytes, 75*mib)
				}
				return tt.makeRoom(v)
			}
			_, err := r.Check(t.Context(), FetchOrder{Toplevel: parse(t, toplevelText), Closure: c.Digest(), Caches: []string{"http://a"}})
			rejection, rejected := errors.AsType[*Rejection](err)
			if asked != tt.asked || rejected != (tt.reason != "") || rejected && rejection.Reason != tt.reason || !rejected && err != nil {
				t.Errorf("got %v, asked %v; want %q, %v", err, asked, tt.reason, tt.asked)
			}
		})
	}
}

func TestWhoMakesRoomCanBeStopped(t *testing.T) {
	root := t.TempDir()
	c := closureOf(t, map[string]uint64{toplevelText: 1})
	ctx, cancel := context.WithCancel(t.Context())
	r := Room{Lists: lists{"http://a": c.Text()}, Reserve: 1, Root: root, Log: slog.New(slog.DiscardHandler)}
	r.Volume = volumes{storeDir: Volume{}, stateDir: Volume{}}.in(root)
	r.MakeRoom = func(ctx context.Context, _ uint64) error {
		cancel()
		return ctx.Err()
	}
	_, err := r.Check(ctx, FetchOrder{Toplevel: parse(t, toplevelText), Closure: c.Digest(), Caches: []string{"http://a"}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was stopped, and no verdict about the disk", err)
	}
}

func TestRoomForNothingIsAlwaysThere(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, toplevelText), 0o755); err != nil {
		t.Fatal(err)
	}
	c := closureOf(t, map[string]uint64{toplevelText: 1})
	v := volumes{storeDir: Volume{Files: 1}, stateDir: Volume{}}
	r := Room{Lists: lists{"http://a": c.Text()}, Reserve: 1, Root: root, Volume: v.in(root), Log: slog.New(slog.DiscardHandler)}
	if _, err := r.Check(t.Context(), FetchOrder{Toplevel: parse(t, toplevelText), Closure: c.Digest(), Caches: []string{"http://a"}}); err != nil {
		t.Error(err)
	}
}

func TestNothingIsDownloadedWithoutRoom(t *testing.T) {
	s, f, o := newFetch(t)
	f.Room = func(_ context.Context, got FetchOrder) (proto.Closure, error) {
		if got.Closure != o.Closure {
			t.Errorf("asked for %+v", got)
		}
		return nil, rejected(proto.ReasonDiskFull)
	}
	requireReason(t, f.Fetch(t.Context(), o), proto.ReasonDiskFull)
	if len(s.asked) > 0 {
		t.Errorf("caches asked: %q, want none", s.asked)
	}
}

func TestHTTPLister(t *testing.T) {
	odd := "/nix/store/00000000000000000000000000000000-what?+x=1"
	served := map[string]string{
		"/cache/closures/" + parse(t, toplevelText).Base() + ".txt": "list",
		"/cache/closures/" + parse(t, odd).Base() + ".txt":          "odd",
		"/cache/closures/" + parse(t, otherText).Base() + ".txt":    strings.Repeat("x", listLimit+1),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(text)) // who hangs up is not interested
	}))
	t.Cleanup(server.Close)
	for _, tt := range []struct{ cache, path, want, fails string }{
		{server.URL + "/cache/", toplevelText, "list", ""},
		{server.URL + "/cache", toplevelText, "list", ""},
		{server.URL + "/cache", odd, "odd", ""},
		{server.URL + "/cache", otherText, "", "longer than"},
		{server.URL, toplevelText, "", "404"},
		{"http://127.0.0.1:1", toplevelText, "", "refused"},
	} {
		got, err := HTTPLister{Client: (&Ways{}).Client()}.List(t.Context(), tt.cache, parse(t, tt.path))
		if tt.fails == "" && (err != nil || string(got) != tt.want) {
			t.Errorf("%s, %s: got %q, %v; want %q", tt.cache, tt.path, got, err, tt.want)
		}
		if tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
			t.Errorf("%s, %s: got %v, want %q in it", tt.cache, tt.path, err, tt.fails)
		}
	}
}

func TestVolumeOf(t *testing.T) {
	here, err := VolumeOf(t.TempDir())
	if err != nil || here.Free == 0 || here.ReadOnly {
		t.Errorf("got %+v, %v, want a file system with room", here, err)
	}
	// A mount that every Linux has, with neither blocks nor inodes.
	proc, err := VolumeOf("/proc")
	if err != nil || proc.Free != 0 || proc.Files != 0 || proc.ID == here.ID {
		t.Errorf("/proc: got %+v, %v", proc, err)
	}
	if _, err := VolumeOf(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestSize(t *testing.T) {
	got := []string{size(0), size(1), size(1 << 20), size(1<<20 + 1), size(174 << 20)}
	if diff := cmp.Diff([]string{"0 KiB", "1 KiB", "1 MiB", "2 MiB", "174 MiB"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatArrivedIsCounted(t *testing.T) {
	for _, tt := range []struct {
		name    string
		arrives []string
		want    uint64
	}{
		{"all of it", []string{toplevelText, otherText}, 107},
		{"a part, before the caches failed", []string{otherText}, 100},
		{"nothing", nil, 0},
	} {
		s, f, o := newFetch(t)
		missing := closureOf(t, map[string]uint64{toplevelText: 7, otherText: 100})
		f.Room = func(context.Context, FetchOrder) (proto.Closure, error) {
			for _, path := range tt.arrives { // from now on
				if err := os.MkdirAll(filepath.Join(f.Root, path), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			return missing, nil
		}
		var got []uint64
		f.Brought = func(bytes uint64) { got = append(got, bytes) }
		if len(tt.arrives) < 2 {
			s.answers = map[string]error{"http://a": rejected(proto.ReasonFetchFailed), "http://b": rejected(proto.ReasonFetchFailed)}
		}
		if err := f.Fetch(t.Context(), o); (err == nil) != (len(tt.arrives) == 2) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: counted %d, want %d once", tt.name, got, tt.want)
		}
	}
}
