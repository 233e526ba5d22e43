package cache

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/internal/narinfo"
	"kedge/proto"
)

// An upstreamCache has some paths of a store.
type upstreamCache struct {
	*httptest.Server
	key proto.SecretKey
}

// newUpstream starts a cache that has paths of n, which change may change.
func newUpstream(t *testing.T, n *fakeNix, change func(*narinfo.Info), names ...string) *upstreamCache {
	t.Helper()
	key, err := proto.GenerateKey("upstream-1", rand.Reader)
	must(t, err)
	u := &upstreamCache{key: key}
	infos := map[string][]byte{}
	for _, name := range names {
		closure, err := n.Closure(t.Context(), path(t, name))
		must(t, err)
		for _, p := range closure {
			if p.Path != path(t, name) {
				continue
			}
			info := narinfo.Info{
				Path: p.Path, File: "nar/" + p.Path.Hash() + ".nar.xz", FileSize: 10, Compression: "xz", Hash: p.NarHash, Size: p.NarSize,
				References: n.store[p.Path],
			}
			if change != nil {
				change(&info)
			}
			signature, err := info.Sign(key)
			must(t, err)
			info.Signatures = []string{signature}
			infos["/up/"+p.Path.Hash()+".narinfo"] = info.Text()
		}
	}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, there := infos[r.URL.Path]
		if !there {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(u.Close)
	return u
}

func openWith(t *testing.T, n Nix, state string, trusted []proto.PublicKey, upstream ...string) *Cache {
	t.Helper()
	c, err := Open(Options{
		Nix: n, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "keys", "cache"), KeyName: "kedge-test-1",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Upstream: upstream, Trusted: trusted,
	})
	must(t, err)
	return c
}

func TestWhatUpstreamHasIsNotStoredAgain(t *testing.T) {
	n := newFake(t)
	up := newUpstream(t, n, nil, "lib")
	state := t.TempDir()
	c := openWith(t, n, state, []proto.PublicKey{up.key.Public()}, up.URL+"/up/")
	closures, err := c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	local, err := n.Closure(t.Context(), path(t, "web1"))
	must(t, err)
	if got, want := closures[path(t, "web1")].Digest(), local.Digest(); got != want {
		t.Errorf("digest of the closure: got %s, want that of all of it, %s", got, want)
	}
	archives, err := filepath.Glob(filepath.Join(c.dir, "nar", "*"))
	must(t, err)
	if len(archives) != 2 {
		t.Errorf("stored %v, want the archives of web1 and app", archives)
	}
	text, err := os.ReadFile(c.narInfoFile(path(t, "lib")))
	must(t, err)
	info, err := narinfo.Parse(text)
	must(t, err)
	if want := up.URL + "/up/nar/" + path(t, "lib").Hash() + ".nar.xz"; info.File != want {
		t.Errorf("the archive of lib is at %s, want %s", info.File, want)
	}
	if !info.SignedBy(up.key.Public()) || !info.SignedBy(c.PublicKey()) {
		t.Errorf("signed by %v, want upstream and us, who have the same path here", info.Signatures)
	}

	// It is known as one that is there, also after a restart, and pruned like others.
	n.copies = nil
	c = openWith(t, n, state, nil)
	_, err = c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	if len(n.copies) > 0 {
		t.Errorf("copied %v again", n.copies)
	}
	_, err = c.Relay(t.Context(), path(t, "db1"))
	must(t, err)
}

func TestWhatOthersBuiltIsNotSignedByUsThoughUpstreamHasIt(t *testing.T) {
	n := newFake(t)
	up := newUpstream(t, n, nil, "lib")
	c := openWith(t, n, t.TempDir(), []proto.PublicKey{up.key.Public()}, up.URL+"/up")
	_, err := c.Relay(t.Context(), path(t, "web2"))
	must(t, err)
	info, err := c.lookUp(path(t, "lib"))
	must(t, err)
	if info.ours || !info.SignedBy(up.key.Public()) {
		t.Errorf("signed by %v, want upstream alone", info.Signatures)
	}
}

func TestUpstreamIsNotBelieved(t *testing.T) {
	for name, tt := range map[string]struct {
		change    func(*narinfo.Info)
		trusted   bool
		elsewhere int
	}{
		"as it is":                    {nil, true, 1},
		"signed by a key not trusted": {nil, false, 0},
		"with another hash":           {func(i *narinfo.Info) { i.Hash = "sha256:" + strings.Repeat("1", 52) }, true, 0},
		"with another size":           {func(i *narinfo.Info) { i.Size++ }, true, 0},
		"with an archive beyond it":   {func(i *narinfo.Info) { i.File = "../x" }, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := newFake(t)
			up := newUpstream(t, n, tt.change, "lib")
			var trusted []proto.PublicKey
			if tt.trusted {
				trusted = append(trusted, up.key.Public())
			}
			c := openWith(t, n, t.TempDir(), trusted, up.URL+"/up")
			_, err := c.Push(t.Context(), path(t, "web2"))
			must(t, err)
			info, err := c.lookUp(path(t, "lib"))
			must(t, err)
			if got := info.Elsewhere(); got != (tt.elsewhere == 1) {
				t.Errorf("the archive is elsewhere: %v", got)
			}
		})
	}
}

func TestAnUpstreamThatIsAwayHoldsNothingUp(t *testing.T) {
	n := newFake(t)
	var many []proto.StorePath
	for i := range 200 {
		p := path(t, fmt.Sprintf("p%03dx", i))
		n.store[p] = nil
		many = append(many, p)
	}
	n.store[path(t, "web1")] = append(n.store[path(t, "web1")], many...)
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer away.Close()
	up := newUpstream(t, n, nil, "lib")
	c := openWith(t, n, t.TempDir(), []proto.PublicKey{up.key.Public()}, away.URL, up.URL+"/up")
	closures, err := c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	if got := len(closures[path(t, "web1")]); got != 203 {
		t.Errorf("the closure has %d paths, want 203", got)
	}
	if info, err := c.lookUp(path(t, "lib")); err != nil || !info.Elsewhere() {
		t.Errorf("got %+v, %v, want what the second one has", info, err)
	}
	if leftover, err := filepath.Glob(filepath.Join(c.dir, "*.tmp")); err != nil || len(leftover) > 0 {
		t.Errorf("left behind: %v, %v", leftover, err)
	}
}
