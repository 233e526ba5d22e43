package closure

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"kedge/internal/narinfo"
	"kedge/proto"
)

// hashOf is a hash of a NAR that nobody looks at here.
const hashOf = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"

// A directWorld is a cache that has three paths, top → middle → bottom, a store
// that has the last one, and what becomes of them.
type directWorld struct {
	t                   *testing.T
	key                 proto.SecretKey
	top, middle, bottom narinfo.Info
	nars                map[proto.StorePath]string
	files               map[string][]byte // of the cache, by URL path
	valid               map[proto.StorePath]bool
	refuses             error // what Add says

	before func(*http.Request) // called before an answer; nil is not

	mu     sync.Mutex
	asked  []string // of the cache
	added  []proto.StorePath
	begun  int
	closed int
	left   []string // to the other transport
}

func newDirectWorld(t *testing.T) *directWorld {
	t.Helper()
	key, err := proto.GenerateKey("cache-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &directWorld{t: t, key: key, nars: map[proto.StorePath]string{}, files: map[string][]byte{}, valid: map[proto.StorePath]bool{}}
	path := func(c string) proto.StorePath { return parse(t, "/nix/store/"+strings.Repeat(c, 32)+"-"+c) }
	w.bottom = narinfo.Info{Path: path("0")}
	w.valid[w.bottom.Path] = true
	w.middle = w.has(narinfo.Info{Path: path("1"), References: []proto.StorePath{w.bottom.Path, path("1")}}, "middle")
	w.top = w.has(narinfo.Info{Path: path("2"), References: []proto.StorePath{w.bottom.Path, w.middle.Path}}, strings.Repeat("top", fileAtOnce))
	return w
}

// has puts a path into the cache, signed. Of large ones the cache does not say
// how large its file is.
func (w *directWorld) has(info narinfo.Info, nar string) narinfo.Info {
	w.t.Helper()
	var file bytes.Buffer
	packed, err := zstd.NewWriter(&file)
	if err == nil {
		_, err = packed.Write([]byte(nar))
	}
	if err := errors.Join(err, packed.Close()); err != nil {
		w.t.Fatal(err)
	}
	info.Compression, info.File, info.Hash, info.Size, info.FileSize = "zstd", "nar/"+info.Path.Hash()+".nar.zst", hashOf, uint64(len(nar)), int64(file.Len())
	if info.Size > fileAtOnce {
		info.FileSize = -1
	}
	info.Signatures = []string{signature(w.t, w.key, info)}
	w.nars[info.Path] = nar
	w.files["/"+info.File] = file.Bytes()
	w.says(info)
	return info
}

// says makes the cache say info.
func (w *directWorld) says(info narinfo.Info) {
	var text strings.Builder
	fmt.Fprintf(&text, "StorePath: %s\nURL: %s\nCompression: %s\nNarHash: %s\nNarSize: %d\nReferences:", info.Path, info.File, info.Compression, info.Hash, info.Size)
	for _, r := range info.References {
		text.WriteString(" " + r.Base())
	}
	text.WriteString("\n")
	if info.FileSize >= 0 {
		fmt.Fprintf(&text, "FileSize: %d\n", info.FileSize)
	}
	for _, s := range info.Signatures {
		text.WriteString("Sig: " + s + "\n")
	}
	w.files["/"+info.Path.Hash()+".narinfo"] = []byte(text.String())
}

func signature(t *testing.T, key proto.SecretKey, info narinfo.Info) string {
	t.Helper()
	name, encoded, _ := strings.Cut(key.Reveal(), ":")
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return name + ":" + base64.StdEncoding.EncodeToString(ed25519.Sign(secret, []byte(info.Fingerprint())))
}

// ServeHTTP implements http.Handler: it is the cache.
func (w *directWorld) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if w.before != nil {
		w.before(r)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, r.URL.Path)
	file, ok := w.files[r.URL.Path]
	if !ok {
		http.NotFound(out, r)
		return
	}
	_, _ = out.Write(file) // who hangs up is not interested
}

// Missing implements Import.
func (w *directWorld) Missing(paths []proto.StorePath) ([]proto.StorePath, error) {
	return slices.DeleteFunc(slices.Clone(paths), func(p proto.StorePath) bool { return w.valid[p] }), nil
}

// Add implements Import.
func (w *directWorld) Add(paths []narinfo.Info, open func(narinfo.Info) (io.ReadCloser, error)) error {
	if w.refuses != nil {
		return w.refuses
	}
	for _, info := range paths {
		for _, r := range info.References {
			if !w.valid[r] && r != info.Path {
				w.t.Errorf("%s is added before %s", info.Path, r)
			}
		}
		nar, err := open(info)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(nar)
		if err := errors.Join(err, nar.Close()); err != nil {
			return err
		}
		if string(text) != w.nars[info.Path] {
			w.t.Errorf("%s is added with %d other bytes", info.Path, len(text))
		}
		w.valid[info.Path] = true
		w.added = append(w.added, info.Path)
	}
	return nil
}

// Closure implements Import.
func (w *directWorld) Closure(path proto.StorePath) (proto.Closure, error) {
	if !w.valid[path] {
		w.t.Errorf("asked for the closure of %s, which is not valid", path)
	}
	return proto.Closure{{Path: path, NarHash: "direct"}}, nil
}

// Close implements Import.
func (w *directWorld) Close() error {
	w.closed++
	return nil
}

// rest is the other transport.
type rest struct{ *directWorld }

// Bring implements Transport.
func (r rest) Bring(_ context.Context, cache string, _ FetchOrder) (proto.Closure, error) {
	r.left = append(r.left, cache)
	return proto.Closure{{NarHash: "rest"}}, nil
}

// bring fetches top, of which some paths are known to be missing, and returns by whom
// it was.
func (w *directWorld) bring(ctx context.Context, begin func() error, missing ...narinfo.Info) (string, error) {
	w.t.Helper()
	o := FetchOrder{Toplevel: w.top.Path, TrustedKeys: []proto.PublicKey{w.key.Public()}}
	for _, info := range missing {
		o.Missing = append(o.Missing, proto.ClosurePath{Path: info.Path, NarSize: info.Size})
	}
	server := httptest.NewServer(w)
	defer server.Close()
	client := (&Ways{}).Client()
	defer client.CloseIdleConnections()
	d := Direct{
		Begin: func(context.Context, []proto.PublicKey) (Import, error) {
			w.begun++
			return w, begin()
		},
		Client: client, Rest: rest{w}, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	}
	c, err := d.Bring(ctx, server.URL, o)
	if err != nil {
		return "", err
	}
	return c[0].NarHash, nil
}

func begins() error { return nil }

func TestDirectBringsWhatIsMissing(t *testing.T) {
	w := newDirectWorld(t)
	if by, err := w.bring(t.Context(), begins); err != nil || by != "direct" {
		t.Fatalf("brought by %q, %v", by, err)
	}
	if want := []proto.StorePath{w.middle.Path, w.top.Path}; !slices.Equal(w.added, want) {
		t.Errorf("added %v, want %v", w.added, want)
	}
	if w.begun != 1 || w.closed != 1 {
		t.Errorf("begun %d times, closed %d times", w.begun, w.closed)
	}
	slices.Sort(w.asked)
	want := []string{"/" + w.middle.Path.Hash() + ".narinfo", "/" + w.top.Path.Hash() + ".narinfo", "/" + w.middle.File, "/" + w.top.File}
	slices.Sort(want)
	if diff := cmp.Diff(want, w.asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}

	w.asked, w.added = nil, nil
	if by, err := w.bring(t.Context(), begins); err != nil || by != "direct" || w.asked != nil || w.added != nil {
		t.Errorf("all there: by %q, %v, asked for %q, added %v", by, err, w.asked, w.added)
	}
}

// What is known to be missing is asked for at once, while the store begins.
func TestDirectLooksAhead(t *testing.T) {
	w := newDirectWorld(t)
	both := make(chan struct{})
	var infos atomic.Int32
	w.before = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".narinfo") && infos.Add(1) == 2 {
			close(both)
		}
	}
	by, err := w.bring(t.Context(), func() error {
		select {
		case <-both:
			return nil
		case <-time.After(time.Minute):
			return errors.New("not both paths were asked for")
		}
	}, w.top, w.middle)
	if err != nil || by != "direct" || infos.Load() != 2 {
		t.Errorf("brought by %q, %v, asked %d times", by, err, infos.Load())
	}
	if want := []proto.StorePath{w.middle.Path, w.top.Path}; !slices.Equal(w.added, want) || w.closed != 1 {
		t.Errorf("added %v, want %v; closed %d times", w.added, want, w.closed)
	}
}

// What is said to be missing may have come meanwhile, and may not be all.
func TestDirectBelievesTheStore(t *testing.T) {
	w := newDirectWorld(t)
	w.valid[w.middle.Path] = true
	if by, err := w.bring(t.Context(), begins, w.top, w.middle); err != nil || by != "direct" || !slices.Equal(w.added, []proto.StorePath{w.top.Path}) {
		t.Errorf("brought by %q, %v, added %v, want the toplevel alone", by, err, w.added)
	}
	w = newDirectWorld(t)
	if by, err := w.bring(t.Context(), begins, w.middle); err != nil || by != "direct" || len(w.added) != 2 {
		t.Errorf("brought by %q, %v, added %v, want both", by, err, w.added)
	}
}

// A cache that is asked in vain does not leave the store open, and what is known to be
// too much is not asked for at all.
func TestDirectGivesUpAtOnce(t *testing.T) {
	w := newDirectWorld(t)
	delete(w.files, "/"+w.middle.Path.Hash()+".narinfo")
	if by, err := w.bring(t.Context(), begins, w.top, w.middle); err != nil || by != "rest" || w.begun != 1 || w.closed != 1 {
		t.Errorf("brought by %q, %v, begun %d times, closed %d times", by, err, w.begun, w.closed)
	}
	w = newDirectWorld(t)
	if by, err := w.bring(t.Context(), begins, w.top, narinfo.Info{Path: w.middle.Path, Size: directBytes}); err != nil || by != "rest" || w.asked != nil || w.begun != 0 {
		t.Errorf("brought by %q, %v, asked for %q, begun %d times", by, err, w.asked, w.begun)
	}
}

func TestDirectLeavesItToNix(t *testing.T) {
	middle := func(change func(w *directWorld, info *narinfo.Info)) func(*directWorld) {
		return func(w *directWorld) {
			change(w, &w.middle)
			w.says(w.middle)
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(*directWorld)
	}{
		{"not signed", middle(func(_ *directWorld, i *narinfo.Info) { i.Signatures = nil })},
		{"signed for other content", middle(func(_ *directWorld, i *narinfo.Info) { i.Size++ })},
		{"signed by somebody else", middle(func(w *directWorld, i *narinfo.Info) {
			foreign, err := proto.GenerateKey("cache-1", rand.Reader)
			if err != nil {
				w.t.Fatal(err)
			}
			i.Signatures = []string{signature(w.t, foreign, *i)}
		})},
		{"about another path", func(w *directWorld) {
			w.files["/"+w.middle.Path.Hash()+".narinfo"] = w.files["/"+w.top.Path.Hash()+".narinfo"]
		}},
		{"compressed in another way", middle(func(_ *directWorld, i *narinfo.Info) { i.Compression = "xz" })},
		{"no narinfo", func(w *directWorld) { w.files["/"+w.middle.Path.Hash()+".narinfo"] = []byte("hello") }},
		{"not there", func(w *directWorld) { delete(w.files, "/"+w.middle.Path.Hash()+".narinfo") }},
		{"its file is not there", func(w *directWorld) { delete(w.files, "/"+w.middle.File) }},
		{"its file is longer than it says", middle(func(_ *directWorld, i *narinfo.Info) { i.FileSize-- })},
		{"its file unpacks to more than it says", func(w *directWorld) {
			w.middle.Size--
			w.middle.Signatures = []string{signature(w.t, w.key, w.middle)}
			w.says(w.middle)
		}},
		{"too much", func(w *directWorld) {
			w.middle.Size = directBytes
			w.middle.Signatures = []string{signature(w.t, w.key, w.middle)}
			w.says(w.middle)
		}},
		{"too many", func(w *directWorld) {
			for i := range directPaths {
				p := parse(w.t, fmt.Sprintf("/nix/store/%032d-x", i+2))
				w.middle.References = append(w.middle.References, p)
			}
			w.middle.Signatures = []string{signature(w.t, w.key, w.middle)}
			w.says(w.middle)
		}},
		{"refused by the store", func(w *directWorld) { w.refuses = errors.New("lacks a signature") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newDirectWorld(t)
			tt.spoil(w)
			if by, err := w.bring(t.Context(), begins); err != nil || by != "rest" {
				t.Errorf("brought by %q, %v", by, err)
			}
			if len(w.added) > 0 || w.closed != 1 || len(w.left) != 1 {
				t.Errorf("added %v, closed %d times, left %d times", w.added, w.closed, len(w.left))
			}
		})
	}
}

// Bytes of which nobody says whose they are cost nothing.
func TestDirectDownloadsOnlyWhatIsSigned(t *testing.T) {
	w := newDirectWorld(t)
	w.top.Signatures = nil
	w.says(w.top)
	if _, err := w.bring(t.Context(), begins); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/" + w.top.Path.Hash() + ".narinfo"}; !slices.Equal(w.asked, want) {
		t.Errorf("asked for %q, want %q", w.asked, want)
	}
}

func TestDirectWithoutADaemon(t *testing.T) {
	w := newDirectWorld(t)
	if by, err := w.bring(t.Context(), func() error { return errors.New("no such socket") }); err != nil || by != "rest" || w.asked != nil {
		t.Errorf("brought by %q, %v, asked for %q", by, err, w.asked)
	}
}

func TestDirectEndsWithItsContext(t *testing.T) {
	w := newDirectWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.bring(ctx, func() error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(w.left) > 0 {
		t.Errorf("got %v, left %d times", err, len(w.left))
	}
}
