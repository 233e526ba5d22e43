//go:build host

package closure

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kedge/internal/narinfo"
	"kedge/internal/nix"
	"kedge/proto"
)

// TestRealCollectionDuringAFetch collects what has arrived of a closure: while the rest
// is being fetched, and after that has failed. It is downloaded once.
func TestRealCollectionDuringAFetch(t *testing.T) {
	cli := &nix.CLI{CacheDir: t.TempDir()}
	c := newRealCache(t, cli)
	i := slices.IndexFunc(c.closure, func(p proto.ClosurePath) bool { return p.Path != c.toplevel })
	dependency := c.closure[i].Path
	collect := func(when string) {
		// As a collection of all that is dead, but that it leaves other tests alone.
		out, err := exec.CommandContext(t.Context(), "nix-store", "--delete", dependency.String()).CombinedOutput()
		if _, gone := os.Lstat(dependency.String()); err == nil || gone != nil {
			t.Errorf("%s: %v, %v: %s; want that it is alive", when, err, gone, out)
		}
	}
	text, err := os.ReadFile(filepath.Join(c.dir, c.toplevel.Hash()+".narinfo"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := narinfo.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	files := http.FileServer(http.Dir(c.dir))
	var mended atomic.Bool
	var once sync.Once
	var mu sync.Mutex
	read := map[string]int{} // guarded by mu
	cache := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/"+info.File && !mended.Load() {
			once.Do(func() { collect("during an attempt") }) // Nix brings first what is referred to
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mu.Lock()
		read[r.URL.Path]++
		mu.Unlock()
		files.ServeHTTP(w, r)
	})
	f := fetcher(t, cli)
	f.Roots.Dir = filepath.Join("/nix/var/nix/gcroots", "kedge-"+strings.ToLower(rand.Text()))
	t.Cleanup(func() {
		if err := os.RemoveAll(f.Roots.Dir); err != nil {
			t.Error(err)
		}
	})
	f.Room = func(context.Context, FetchOrder) (proto.Closure, error) { return missingOf(c.closure, ""), nil }
	o := FetchOrder{Toplevel: c.toplevel, Closure: c.digest, Caches: []string{cache}, TrustedKeys: []proto.PublicKey{c.key.Public()}}
	requireReal(t, f, o, proto.ReasonCacheUnreachable)
	collect("between two attempts")
	mended.Store(true)
	requireReal(t, f, o, "")
	for name, n := range read {
		if strings.HasPrefix(name, "/nar/") && n != 1 {
			t.Errorf("%s was downloaded %d times", name, n)
		}
	}
	if kept := arrivedRoots(t, f.Roots); len(kept) > 0 {
		t.Errorf("%q are kept by more than the staged root", kept)
	}
}
