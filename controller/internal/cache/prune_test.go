package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/internal/nix"
	"kedge/proto"
)

const retention = 7 * 24 * time.Hour

// pruned is a cache whose clock a test moves.
type pruned struct {
	*Cache
	t      *testing.T
	nix    *fakeNix
	state  string
	passed time.Duration
}

func newPruned(t *testing.T) *pruned {
	p := &pruned{t: t, nix: newFake(t), state: t.TempDir()}
	p.restart()
	return p
}

func (p *pruned) restart() {
	p.t.Helper()
	c, err := Open(Options{
		Nix: p.nix, Dir: filepath.Join(p.state, "cache"), KeyFile: filepath.Join(p.state, "keys", "cache"), KeyName: "kedge-test-1",
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Now().Add(p.passed) },
	})
	must(p.t, err)
	p.Cache = c
}

func (p *pruned) push(names ...string) {
	p.t.Helper()
	_, err := p.Push(p.t.Context(), p.named(names)...)
	must(p.t, err)
}

func (p *pruned) prune(keep ...string) Pruned {
	p.t.Helper()
	done, err := p.Prune(p.t.Context(), PruneOptions{Keep: p.named(keep), Retention: retention})
	must(p.t, err)
	return done
}

func (p *pruned) named(names []string) []proto.StorePath {
	p.t.Helper()
	var paths []proto.StorePath
	for _, n := range names {
		paths = append(paths, path(p.t, n))
	}
	return paths
}

// files returns all files of the cache but those that are always there.
func (p *pruned) files() []string {
	p.t.Helper()
	var files []string
	for _, pattern := range []string{"*.narinfo", "nar/*", "closures/*"} {
		found, err := filepath.Glob(filepath.Join(p.dir, pattern))
		must(p.t, err)
		for _, f := range found {
			name, err := filepath.Rel(p.dir, f)
			must(p.t, err)
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return files
}

// filesOf returns the files that systems have.
func (p *pruned) filesOf(systems ...proto.StorePath) []string {
	p.t.Helper()
	closure, err := p.nix.Closure(p.t.Context(), systems...)
	must(p.t, err)
	var files []string
	for _, c := range closure {
		files = append(files, c.Path.Hash()+".narinfo", "nar/"+c.Path.Hash()+".nar.zst")
	}
	for _, s := range systems {
		files = append(files, "closures/"+s.Base()+".txt")
	}
	slices.Sort(files)
	return slices.Compact(files)
}

func (p *pruned) wantFilesOf(when string, names ...string) {
	p.t.Helper()
	if got, want := p.files(), p.filesOf(p.named(names)...); !slices.Equal(got, want) {
		p.t.Errorf("%s: the cache has\n%v, want those of %v\n%v", when, got, names, want)
	}
}

func TestPruneRemovesWhatNobodyNeedsAnyMore(t *testing.T) {
	p := newPruned(t)
	p.push("web1", "web2", "db1")
	p.prune("web2")
	p.wantFilesOf("pushed just now", "web1", "web2", "db1")

	p.passed += retention - time.Hour
	p.prune("web2", "db1")
	p.wantFilesOf("within the retention", "web1", "web2", "db1")

	p.passed += 2 * time.Hour
	if done := p.prune("web2"); done.Systems != 1 || done.Paths != 1 {
		t.Errorf("removed %+v, want one system, and the one path that only it had", done)
	}
	p.push("web1") // somebody goes back, and its archive is still there
	p.wantFilesOf("pushed again", "web1", "web2", "db1")

	p.passed += retention + time.Hour
	p.prune("web2")
	p.passed += readGrace + time.Hour
	if done := p.prune("web2"); done.Bytes == 0 {
		t.Error("the archives of removed paths stay")
	}
	p.wantFilesOf("after the retention of all others", "web2")
	if _, err := p.Push(t.Context(), path(t, "web1")); err != nil {
		t.Errorf("what was removed cannot be pushed again: %v", err)
	}
	p.wantFilesOf("pushed once more", "web1", "web2")
}

func TestAShortCacheKeepsOnlyWhatIsNeeded(t *testing.T) {
	p := newPruned(t)
	p.push("web1", "web2")
	p.passed += 2 * copyGrace
	p.push("db1")
	done, err := p.Prune(t.Context(), PruneOptions{Keep: p.named([]string{"web2"}), Short: true})
	must(t, err)
	if done.Bytes == 0 {
		t.Error("no room was made")
	}
	p.wantFilesOf("short of room", "web2", "db1")
}

func TestPruneLeavesWhatIsBeingFetched(t *testing.T) {
	p := newPruned(t)
	p.push("web1", "web2", "db1")
	server := httptest.NewServer(p.Handler(nil))
	defer server.Close()
	p.passed += retention + time.Hour

	// A host has asked for the first path, and reads a large archive of another system.
	response, _ := get(t, http.MethodGet, server.URL+"/"+path(t, "web2").Hash()+".narinfo", nil)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("got %s", response.Status)
	}
	f, err := os.Open(filepath.Join(p.dir, "nar", path(t, "db1").Hash()+".nar.zst"))
	must(t, err)
	defer f.Close()
	for _, short := range []bool{false, true} {
		_, err := p.Prune(t.Context(), PruneOptions{Retention: retention, Short: short})
		must(t, err)
		if _, err := os.Stat(p.listFile(path(t, "web2"))); err != nil {
			t.Errorf("who may read web2 is known from its closure list: %v", err)
		}
		for _, name := range []string{"web2", "app", "lib"} {
			if response, _ := get(t, http.MethodGet, server.URL+"/"+path(t, name).Hash()+".narinfo", nil); response.StatusCode != http.StatusOK {
				t.Errorf("%s, which the host that fetches web2 needs: got %s", name, response.Status)
			}
		}
	}
	if text, err := io.ReadAll(f); err != nil || !strings.HasPrefix(string(text), "NAR of") {
		t.Errorf("an archive that was being read: got %q, %v", text, err)
	}
	if _, err := os.Stat(p.narInfoFile(path(t, "db1"))); err == nil {
		t.Error("db1, which nobody asked for, stays")
	}
}

func TestPruneLeavesWhatIsBeingCopied(t *testing.T) {
	p := newPruned(t)
	// As Nix does that copies while it builds: no closure list names it yet.
	must(t, p.nix.Copy(t.Context(), nix.CopyOptions{To: p.URL(), Paths: p.named([]string{"web2"})}))
	p.prune()
	if got := len(p.files()); got != 6 {
		t.Errorf("the cache has %v, want two files for each of three paths", p.files())
	}
	p.passed += copyGrace + time.Minute
	p.prune()
	p.passed += readGrace + time.Minute
	p.prune()
	if got := p.files(); len(got) > 0 {
		t.Errorf("what nobody pushed stays: %v", got)
	}
}

func TestPruneWaitsForAPush(t *testing.T) {
	p := newPruned(t)
	leave, err := p.enter(t.Context())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Prune(ctx, PruneOptions{}); err == nil {
		t.Error("pruned while somebody writes")
	}
	leave()
	p.prune()
}

// TestPrunePassesOverAnArchiveThatIsGone: a build copies into the cache without waiting for
// anybody, and Nix renames what it has written.
func TestPrunePassesOverAnArchiveThatIsGone(t *testing.T) {
	for when, gone := range map[string]string{"before it is looked at": "a.nar.zst", "after that": "b.nar.zst.tmp.7.1"} {
		p := newPruned(t)
		for _, name := range []string{"a.nar.zst", "b.nar.zst.tmp.7.1", "c.nar.zst"} {
			must(t, os.WriteFile(filepath.Join(p.dir, "nar", name), []byte("NAR"), 0o644))
		}
		p.remove = func(file string) error {
			if filepath.Base(file) == gone {
				must(t, os.Rename(filepath.Join(p.dir, "nar", "b.nar.zst.tmp.7.1"), filepath.Join(p.dir, "nar", "b.nar.zst")))
			}
			return os.Remove(file)
		}
		p.passed += readGrace + time.Hour
		done, err := p.Prune(t.Context(), PruneOptions{Short: true})
		if err != nil || done.Bytes != 6 {
			t.Errorf("gone %s: removed %+v, error %v; want the two other archives", when, done, err)
		}
		if got, want := p.files(), []string{"nar/b.nar.zst"}; !slices.Equal(got, want) {
			t.Errorf("gone %s: the cache has %v, want %v", when, got, want)
		}
	}
}

// TestALeftoverThatStaysKeepsNoOther has one description that was not written to the end be a
// directory that is not empty.
func TestALeftoverThatStaysKeepsNoOther(t *testing.T) {
	p := newPruned(t)
	left := func(name string) string { return filepath.Join(p.dir, name+narInfoSuffix+".tmp.7.1") }
	for _, name := range []string{"a", "c"} {
		must(t, os.MkdirAll(filepath.Join(left(name), "x"), 0o700))
	}
	for _, name := range []string{"b", "d"} {
		must(t, os.WriteFile(left(name), nil, 0o600))
	}
	p.passed += retention
	_, err := p.Prune(t.Context(), PruneOptions{Retention: retention})
	if err == nil || !strings.Contains(err.Error(), left("a")) || !strings.Contains(err.Error(), left("c")) {
		t.Errorf("Prune = %v, want an error about both that stay", err)
	}
	for _, name := range []string{"b", "d"} {
		if _, err := os.Stat(left(name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there still: %v", left(name), err)
		}
	}
}

func TestPruneDoesNotTrustADamagedList(t *testing.T) {
	p := newPruned(t)
	p.push("web1", "db1")
	must(t, os.WriteFile(p.listFile(path(t, "web1")), []byte("/nix/store/"), 0o644))
	must(t, os.Remove(p.listFile(path(t, "db1"))))
	p.passed += retention + time.Hour
	p.prune("web1", "db1")
	for _, name := range []string{"web1", "app", "lib", "db1"} {
		if _, err := p.lookUp(path(t, name)); err != nil {
			t.Errorf("%s is needed: %v", name, err)
		}
	}
}

func TestUsage(t *testing.T) {
	p := newPruned(t)
	p.push("web2")
	u, err := p.Usage()
	must(t, err)
	if u.Paths != 3 || u.Bytes == 0 {
		t.Errorf("usage = %+v, want 3 paths", u)
	}
	p.push("db1")
	p.passed += usageAge
	if u, err = p.Usage(); err != nil || u.Paths != 4 {
		t.Errorf("usage = %+v, %v, want 4 paths", u, err)
	}
	if free, err := p.Free(); err != nil || free == 0 {
		t.Errorf("free = %d, %v", free, err)
	}
}

// TestPruneIsSafeWheneverItEnds pushes, fetches and prunes at random, and crashes at
// random instants. What is needed is always whole, and in the end there is nothing else.
func TestPruneIsSafeWheneverItEnds(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newPruneWorld(t, seed)
			for range 60 {
				w.act()
				w.check()
			}
			w.finish()
		})
	}
}

type pruneWorld struct {
	*pruned
	random  *rand.Rand
	systems []proto.StorePath
	needed  map[proto.StorePath]bool
	pushed  map[proto.StorePath]time.Time
	fetched map[proto.StorePath]time.Time
	did     []string
}

// newPruneWorld has 8 systems of some of 20 paths, which refer to each other.
func newPruneWorld(t *testing.T, seed uint64) *pruneWorld {
	w := &pruneWorld{
		pruned: newPruned(t), random: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // to be repeated
		needed: map[proto.StorePath]bool{}, pushed: map[proto.StorePath]time.Time{}, fetched: map[proto.StorePath]time.Time{},
	}
	w.nix.store = map[proto.StorePath][]proto.StorePath{}
	var all []proto.StorePath
	for i := range 20 {
		p := path(t, fmt.Sprintf("p%02dx", i))
		w.nix.store[p] = w.some(all, 3)
		all = append(all, p)
	}
	for i := range 8 {
		s := path(t, fmt.Sprint("sys", i))
		w.nix.store[s] = append(w.some(all, 5), s)
		w.systems = append(w.systems, s)
	}
	return w
}

func (w *pruneWorld) some(of []proto.StorePath, n int) []proto.StorePath {
	var some []proto.StorePath
	for range min(n, len(of)) {
		some = append(some, of[w.random.IntN(len(of))])
	}
	return some
}

func (w *pruneWorld) act() {
	w.t.Helper()
	s := w.systems[w.random.IntN(len(w.systems))]
	switch w.random.IntN(6) {
	case 0:
		w.say("push", s)
		_, err := w.Push(w.t.Context(), s)
		must(w.t, err)
		w.pushed[s] = w.now()
	case 1:
		if _, there := w.pushed[s]; there && w.isWhole(s) {
			w.say("need", s)
			w.needed[s] = true
			_, err := w.Push(w.t.Context(), s)
			must(w.t, err)
		}
	case 2:
		w.say("need no more", s)
		delete(w.needed, s)
	case 3:
		if w.isWhole(s) {
			w.say("fetch", s)
			w.reads.note(s.Hash()+narInfoSuffix, w.now())
			w.fetched[s] = w.now()
		}
	case 4:
		passes := time.Duration(w.random.Int64N(int64(retention)))
		w.say("pass", passes)
		w.passed += passes
	case 5:
		w.pruneAndPerhapsCrash()
	}
}

var errCrash = errors.New("crash")

func (w *pruneWorld) pruneAndPerhapsCrash() {
	w.t.Helper()
	crashAt, applied, n := w.random.IntN(30), w.random.IntN(2) == 0, 0
	w.remove = func(file string) error {
		n++
		if n <= crashAt {
			return os.Remove(file)
		}
		if n == crashAt+1 && applied {
			_ = os.Remove(file)
		}
		return errCrash
	}
	short := w.random.IntN(3) == 0
	o := PruneOptions{Short: short, Retention: retention}
	if short {
		o.Retention = 0
	}
	for s := range w.needed {
		o.Keep = append(o.Keep, s)
	}
	_, err := w.Prune(w.t.Context(), o)
	w.say("prune", short, crashAt, err)
	if short { // the others may go
		w.pushed = map[proto.StorePath]time.Time{}
	}
	if err == nil {
		w.remove = os.Remove
		return
	}
	if !errors.Is(err, errCrash) {
		w.t.Fatal(err)
	}
	w.check() // before it is known that what was asked for is forgotten
	w.fetched = map[proto.StorePath]time.Time{}
	w.restart()
}

func (w *pruneWorld) check() {
	w.t.Helper()
	infos, err := filepath.Glob(filepath.Join(w.dir, "*.narinfo"))
	must(w.t, err)
	for _, file := range infos {
		text, err := os.ReadFile(file)
		must(w.t, err)
		if _, err := os.Stat(filepath.Join(w.dir, archiveOf(text))); err != nil {
			w.t.Fatalf("%s: told of, and not there: %v\n%v", file, err, w.did)
		}
	}
	for _, s := range w.systems {
		why := ""
		switch _, err := os.Stat(w.listFile(s)); {
		case w.needed[s]:
			why = "it is needed"
		case w.now().Sub(w.pushed[s]) < retention:
			why = "it was pushed within the retention"
		case w.now().Sub(w.fetched[s]) < readGrace:
			why = "it is being fetched"
		case err == nil:
			why = "its closure list is there"
		}
		if why != "" && !w.isWhole(s) {
			w.t.Fatalf("%s is not whole, and %s\n%v", s, why, w.did)
		}
	}
}

func (w *pruneWorld) isWhole(s proto.StorePath) bool {
	w.t.Helper()
	gaps, err := w.walk(s, true, walked{})
	must(w.t, err)
	return len(gaps) == 0
}

// finish lets time pass: then there is what is needed, and nothing else.
func (w *pruneWorld) finish() {
	w.t.Helper()
	var keep []proto.StorePath
	for s := range w.needed {
		keep = append(keep, s)
	}
	w.passed += 365 * 24 * time.Hour
	for range 2 {
		_, err := w.Prune(w.t.Context(), PruneOptions{Keep: keep, Retention: retention})
		must(w.t, err)
		w.passed += readGrace + time.Hour
	}
	if got, want := w.files(), w.filesOf(keep...); !slices.Equal(got, want) {
		w.t.Errorf("in the end the cache has\n%v, want those of %v\n%v", got, keep, want)
	}
}

func (w *pruneWorld) say(what ...any) { w.did = append(w.did, fmt.Sprint(what...)) }
