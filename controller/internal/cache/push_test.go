package cache

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/nix"
	"kedge/proto"
)

func TestPushMakesClosuresFetchable(t *testing.T) {
	n := newFake(t)
	c := open(t, n, t.TempDir())
	closures, err := c.Push(t.Context(), path(t, "web1"), path(t, "db1"))
	must(t, err)
	if got, want := names(closures[path(t, "web1")]), []string{"app", "lib", "web1"}; !cmp.Equal(got, want) {
		t.Errorf("closure of web1: got %v, want %v", got, want)
	}
	if got, want := names(closures[path(t, "db1")]), []string{"db1"}; !cmp.Equal(got, want) {
		t.Errorf("closure of db1: got %v, want %v", got, want)
	}

	for _, toplevel := range []proto.StorePath{path(t, "web1"), path(t, "db1")} {
		text, err := os.ReadFile(filepath.Join(c.dir, "closures", toplevel.Base()+".txt"))
		must(t, err)
		if got, want := string(text), string(closures[toplevel].Text()); got != want {
			t.Errorf("closure list of %s: got %q, want %q", toplevel, got, want)
		}
		local, err := n.Closure(t.Context(), toplevel)
		must(t, err)
		if got, want := closures[toplevel].Digest(), local.Digest(); got != want {
			t.Errorf("digest of %s: got %s, want that of the local store %s", toplevel, got, want)
		}
	}
}

func TestPushStartsNothingForWhatIsThere(t *testing.T) {
	state := t.TempDir()
	n := newFake(t)
	_, err := open(t, n, state).Push(t.Context(), path(t, "web1"))
	must(t, err)

	restarted := open(t, n, state)
	n.copies = nil
	closures, err := restarted.Push(t.Context(), path(t, "web1"))
	must(t, err)
	if len(n.copies) > 0 {
		t.Errorf("copied %v again", n.copies)
	}
	if got, want := names(closures[path(t, "web1")]), []string{"app", "lib", "web1"}; !cmp.Equal(got, want) {
		t.Errorf("closure: got %v, want %v", got, want)
	}

	_, err = restarted.Push(t.Context(), path(t, "web1"), path(t, "db1"))
	must(t, err)
	if len(n.copies) != 1 || !slices.Equal(n.copies[0].Paths, []proto.StorePath{path(t, "db1")}) {
		t.Errorf("copies: got %v, want one of db1 only", n.copies)
	}
}

func TestPushMendsTheCache(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, *Cache, proto.StorePath){
		"a narinfo that is gone": func(t *testing.T, c *Cache, p proto.StorePath) {
			must(t, os.Remove(c.narInfoFile(p)))
		},
		"an empty narinfo": func(t *testing.T, c *Cache, p proto.StorePath) {
			must(t, os.Truncate(c.narInfoFile(p), 0))
		},
		"a torn narinfo": func(t *testing.T, c *Cache, p proto.StorePath) {
			must(t, os.Truncate(c.narInfoFile(p), 150))
		},
		"a narinfo about another path": func(t *testing.T, c *Cache, p proto.StorePath) {
			must(t, os.Rename(c.narInfoFile(path(t, "db1")), c.narInfoFile(p)))
		},
		"a NAR that is gone": func(t *testing.T, c *Cache, p proto.StorePath) {
			must(t, os.Remove(filepath.Join(c.dir, "nar", p.Hash()+".nar.zst")))
		},
		"a NAR that is too short": func(t *testing.T, c *Cache, p proto.StorePath) {
			must(t, os.Truncate(filepath.Join(c.dir, "nar", p.Hash()+".nar.zst"), 3))
		},
		"a narinfo with a changed hash": func(t *testing.T, c *Cache, p proto.StorePath) {
			text, err := os.ReadFile(c.narInfoFile(p))
			must(t, err)
			text[slices.Index(text, '\n')+1]++ // in the key of the second line
			must(t, os.WriteFile(c.narInfoFile(p), text, 0o644))
		},
	} {
		for _, base := range []string{"web1", "app", "lib"} {
			t.Run(name+" of "+base, func(t *testing.T) {
				state := t.TempDir()
				n := newFake(t)
				c := open(t, n, state)
				want, err := c.Push(t.Context(), path(t, "web1"), path(t, "web2"), path(t, "db1"))
				must(t, err)
				damage(t, c, path(t, base))

				c = open(t, n, state)
				got, err := c.Push(t.Context(), path(t, "web1"), path(t, "web2"), path(t, "db1"))
				must(t, err)
				for toplevel := range want {
					if got[toplevel].Digest() != want[toplevel].Digest() {
						t.Errorf("closure of %s: got %v, want %v", toplevel, names(got[toplevel]), names(want[toplevel]))
					}
				}
				if _, err := c.lookUp(path(t, base)); err != nil {
					t.Errorf("%s still cannot be fetched: %v", base, err)
				}
				nar, err := os.ReadFile(filepath.Join(c.dir, "nar", path(t, base).Hash()+".nar.zst"))
				if want := "NAR of " + path(t, base).String(); err != nil || string(nar) != want {
					t.Errorf("NAR of %s: got %q, %v, want %q", base, nar, err, want)
				}
			})
		}
	}
}

func TestOnlyPushSigns(t *testing.T) {
	n := newFake(t)
	c := open(t, n, t.TempDir())
	if _, err := c.Relay(t.Context(), path(t, "web1")); err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{"web1", "app", "lib"} {
		info, err := c.lookUp(path(t, base))
		must(t, err)
		if len(info.Signatures) > 0 {
			t.Errorf("%s was relayed and has signatures %v, want none of ours", base, info.Signatures)
		}
	}

	// We built web2, and what it needs, though somebody relayed that before.
	if _, err := c.Push(t.Context(), path(t, "web2")); err != nil {
		t.Fatal(err)
	}
	signed := func(want map[string]bool) {
		t.Helper()
		for base, want := range want {
			info, err := c.lookUp(path(t, base))
			must(t, err)
			if info.ours != want {
				t.Errorf("%s is signed by us: got %v, want %v", base, info.ours, want)
			}
		}
	}
	signed(map[string]bool{"web2": true, "app": true, "lib": true, "web1": false})
	if _, err := c.Push(t.Context(), path(t, "web1")); err != nil {
		t.Fatal(err)
	}
	signed(map[string]bool{"web1": true})
}

func TestPushSaysWhatWentWrong(t *testing.T) {
	n := newFake(t)
	c := open(t, n, t.TempDir())
	full := errors.New("no space left on device")
	n.copyErr = full
	if _, err := c.Push(t.Context(), path(t, "web1")); !errors.Is(err, full) {
		t.Errorf("got error %v, want one that wraps %v", err, full)
	}
	n.copyErr = nil
	if _, err := c.Push(t.Context(), path(t, "web1")); err != nil {
		t.Errorf("after there was space again: %v", err)
	}
}

func TestClosuresLooksIntoTheLocalStoreWhereTheCacheLacksAPath(t *testing.T) {
	n := newFake(t)
	c := open(t, n, t.TempDir())
	local, err := c.Closures(t.Context(), path(t, "web1"))
	must(t, err)
	if len(n.copies) > 0 {
		t.Errorf("copied %v", n.copies)
	}
	pushed, err := c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	n.closures = 0
	cached, err := c.Closures(t.Context(), path(t, "web1"))
	must(t, err)
	if n.closures > 0 {
		t.Error("the local store was asked about a closure that is in the cache")
	}
	want := pushed[path(t, "web1")].Digest()
	for name, got := range map[string]Closures{"of the local store": local, "of the cache": cached} {
		if got := got[path(t, "web1")].Digest(); got != want {
			t.Errorf("digest %s: got %s, want %s", name, got, want)
		}
	}
}

func TestProvidePushesWhatTheCacheLacksAlone(t *testing.T) {
	n := newFake(t)
	c := open(t, n, t.TempDir())
	web1, web2, db1 := path(t, "web1"), path(t, "web2"), path(t, "db1")
	_, err := c.Push(t.Context(), web1)
	must(t, err)
	delete(n.store, web1)
	n.copies = nil
	closures, err := c.Provide(t.Context(), web1, web2)
	must(t, err)
	if len(closures) != 2 || len(n.copies) != 1 || !slices.Equal(n.copies[0].Paths, []proto.StorePath{web2}) || n.copies[0].To != c.URL() {
		t.Errorf("closures = %v after copies %+v, want those of web1 and web2 after one of web2, signed", closures, n.copies)
	}
	if gaps, err := c.walk(web2, true, make(walked)); err != nil || len(gaps) > 0 {
		t.Errorf("web2 lacks %v, %v; want that it can be fetched", gaps, err)
	}
	delete(n.store, db1)
	if _, err := c.Provide(t.Context(), web1, db1); !errors.Is(err, ErrGone) {
		t.Errorf("error = %v for what is nowhere, want that it is gone", err)
	}
}

func TestClosuresSaysOfWhatIsNowhereThatItIsGone(t *testing.T) {
	n := newFake(t)
	c := open(t, n, t.TempDir())
	_, err := c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	clear(n.store)
	if _, err := c.Closures(t.Context(), path(t, "web1")); err != nil {
		t.Errorf("error = %v for what is in the cache alone", err)
	}
	if _, err := c.Closures(t.Context(), path(t, "db1")); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "db1") {
		t.Errorf("error = %v for what is nowhere, want that db1 is gone", err)
	}
	damaged := open(t, n, filepath.Dir(c.dir)) // which has looked at nothing
	file := damaged.narInfoFile(path(t, "web1"))
	must(t, errors.Join(os.Remove(file), os.Mkdir(file, 0o755)))
	if _, err := damaged.Closures(t.Context(), path(t, "web1")); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("error = %v for what the cache may have, want another one", err)
	}
	n.hangs = true // so that nobody knows
	c.timeout = time.Millisecond
	if _, err := c.Closures(t.Context(), path(t, "db1")); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("error = %v while the store does not answer, want another one", err)
	}
}

func TestSigned(t *testing.T) {
	n := newFake(t)
	c := open(t, n, t.TempDir())
	ci, err := proto.ParsePublicKey("ci-1:" + c.key.String()[len("kedge-test-1:"):])
	must(t, err)
	n.untrusted = func(o nix.UntrustedOptions) ([]proto.StorePath, error) {
		want := nix.UntrustedOptions{Path: path(t, "web1"), TrustedKeys: []proto.PublicKey{c.key, ci}, Stores: []string{"file://" + c.dir}}
		if diff := cmp.Diff(want, o, comparers); diff != "" {
			t.Errorf("options (-want +got):\n%s", diff)
		}
		return []proto.StorePath{path(t, "lib")}, nil
	}
	var unsigned *UnsignedError
	if err := c.Signed(t.Context(), path(t, "web1"), []proto.PublicKey{ci}); !errors.As(err, &unsigned) {
		t.Fatalf("got error %v, want an UnsignedError", err)
	}
	if diff := cmp.Diff([]proto.StorePath{path(t, "lib")}, unsigned.Paths, comparers); diff != "" {
		t.Errorf("unsigned paths (-want +got):\n%s", diff)
	}

	n.untrusted = func(nix.UntrustedOptions) ([]proto.StorePath, error) { return nil, nil }
	if err := c.Signed(t.Context(), path(t, "web1"), nil); err != nil {
		t.Errorf("all paths are signed: %v", err)
	}
}

func TestOpenRefusesADirectoryThatNixCouldMisread(t *testing.T) {
	_, err := Open(Options{Nix: newFake(t), Dir: "/tmp/a b", KeyFile: "/tmp/k", KeyName: "k", Log: open(t, newFake(t), t.TempDir()).log})
	if err == nil {
		t.Error("a directory with a space was accepted")
	}
}

func names(closure proto.Closure) []string {
	var bases []string
	for _, p := range closure {
		bases = append(bases, p.Path.Base()[33:])
	}
	slices.Sort(bases)
	return bases
}

// comparers compare the values of proto that hide their fields.
var comparers = cmp.Options{
	cmp.Comparer(func(a, b proto.StorePath) bool { return a == b }),
	cmp.Comparer(func(a, b proto.PublicKey) bool { return a == b }),
}
