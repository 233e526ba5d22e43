package cache

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

// tokens is a [Porter] that knows what each token may read.
type tokens map[string][]proto.StorePath

// Admit implements Porter.
func (t tokens) Admit(token string) ([]proto.StorePath, error) {
	systems, known := t[token]
	if !known {
		return nil, errors.New("unknown token")
	}
	return systems, nil
}

// ask asks a handler for a path, without a server, whose router would clean it.
func ask(h http.Handler, path string, as func(*http.Request)) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "http://build"+path, nil)
	as(request)
	h.ServeHTTP(recorder, request)
	return recorder
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func nobody(*http.Request) {}

func TestAHostReadsTheClosuresOfItsSystemsAlone(t *testing.T) {
	state := t.TempDir()
	c := open(t, newFake(t), state)
	web1, web2, db1 := path(t, "web1"), path(t, "web2"), path(t, "db1")
	_, err := c.Push(t.Context(), web1, web2, db1)
	must(t, err)
	who := tokens{"web1": {web1}, "web2": {web2, path(t, "gone")}, "new": nil}
	files := func(p proto.StorePath) []string {
		return []string{"/" + p.Hash() + ".narinfo", "/nar/" + p.Hash() + ".nar.zst"}
	}
	list := func(p proto.StorePath) string { return "/closures/" + p.Base() + ".txt" }
	// A new handler for every question: it knows nothing that others asked for.
	for _, tt := range []struct {
		token string
		paths []string
		want  int
	}{
		{"web1", append(files(web1), list(web1), "/nix-cache-info"), http.StatusOK},
		{"web1", append(files(path(t, "lib")), files(path(t, "app"))...), http.StatusOK},
		{"web1", append(files(web2), list(web2)), http.StatusNotFound},
		{"web1", append(files(db1), list(db1), list(path(t, "app"))), http.StatusNotFound},
		{"web1", []string{"/", "/nar/", "/closures/", "/closures/../nix-cache-info", "/nar/../../keys/cache", "/nar/%2e%2e/%2e%2e/keys/cache", "/nar/nothing.nar"}, http.StatusNotFound},
		{"web2", append(files(web2), files(path(t, "lib"))...), http.StatusOK},
		{"web2", files(web1), http.StatusNotFound},
		{"new", append(files(web1), files(path(t, "lib"))...), http.StatusNotFound},
		{"new", []string{"/nix-cache-info"}, http.StatusOK},
		{"", append(files(web1), list(web1), "/nix-cache-info", "/", "/nothing"), http.StatusUnauthorized},
		{"stolen", append(files(web1), list(web1), "/nix-cache-info"), http.StatusUnauthorized},
	} {
		for _, p := range tt.paths {
			got := ask(c.Handler(who), p, bearer(tt.token))
			if got.Code != tt.want {
				t.Errorf("%s as %q: got %d, want %d", p, tt.token, got.Code, tt.want)
			}
			if cc := got.Header().Get("Cache-Control"); strings.Contains(cc, "public") || cc == "" {
				t.Errorf("%s as %q: Cache-Control is %q, and another cache may keep it for others", p, tt.token, cc)
			}
			if got.Code != http.StatusOK && strings.Contains(got.Body.String(), state) {
				t.Errorf("%s as %q: %q names files of this machine", p, tt.token, got.Body)
			}
		}
	}
}

func TestTheTokenIsShownAsABearersOrAsAPassword(t *testing.T) {
	c := open(t, newFake(t), t.TempDir())
	h := c.Handler(tokens{"s3cret": nil})
	for name, tt := range map[string]struct {
		as   func(*http.Request)
		want int
	}{
		"bearer":           {bearer("s3cret"), http.StatusOK},
		"password":         {func(r *http.Request) { r.SetBasicAuth("kedge", "s3cret") }, http.StatusOK},
		"user":             {func(r *http.Request) { r.SetBasicAuth("s3cret", "") }, http.StatusUnauthorized},
		"nothing":          {nobody, http.StatusUnauthorized},
		"another scheme":   {func(r *http.Request) { r.Header.Set("Authorization", "Digest s3cret") }, http.StatusUnauthorized},
		"part of the line": {func(r *http.Request) { r.URL.RawQuery = "token=s3cret" }, http.StatusUnauthorized},
	} {
		got := ask(h, "/nix-cache-info", tt.as)
		if got.Code != tt.want {
			t.Errorf("%s: got %d, want %d", name, got.Code, tt.want)
		}
		if challenge := got.Header().Values("WWW-Authenticate"); (got.Code == http.StatusUnauthorized) != (len(challenge) == 2) {
			t.Errorf("%s: WWW-Authenticate is %q", name, challenge)
		}
	}
}

// What is copied anew may have another archive.
func TestAnArchiveIsFoundUnderItsNewName(t *testing.T) {
	c := open(t, newFake(t), t.TempDir())
	web1, lib := path(t, "web1"), path(t, "lib")
	_, err := c.Push(t.Context(), web1)
	must(t, err)
	h := c.Handler(tokens{"web1": {web1}})
	info := filepath.Join(c.dir, lib.Hash()+".narinfo")
	if got := ask(h, "/nar/"+lib.Hash()+".nar.zst", bearer("web1")); got.Code != http.StatusOK {
		t.Fatalf("before: got %d", got.Code)
	}
	text, err := os.ReadFile(info)
	must(t, err)
	must(t, os.WriteFile(info, []byte(strings.Replace(string(text), "URL: nar/"+lib.Hash(), "URL: nar/other", 1)), 0o644))
	must(t, os.WriteFile(filepath.Join(c.dir, "nar", "other.nar.zst"), []byte("x"), 0o644))
	for _, p := range []string{"/" + lib.Hash() + ".narinfo", "/nar/other.nar.zst"} {
		if got := ask(h, p, bearer("web1")); got.Code != http.StatusOK {
			t.Errorf("%s: got %d", p, got.Code)
		}
	}
}

// Paths with the same content have one archive, whoever asked for it last.
func TestAnArchiveIsReadByAllWhoseClosuresHaveItsContent(t *testing.T) {
	c := open(t, newFake(t), t.TempDir())
	web1, web2 := path(t, "web1"), path(t, "web2")
	_, err := c.Push(t.Context(), web1, web2)
	must(t, err)
	info := filepath.Join(c.dir, web2.Hash()+".narinfo")
	text, err := os.ReadFile(info)
	must(t, err)
	archive := "/nar/" + web1.Hash() + ".nar.zst"
	must(t, os.WriteFile(info, []byte(strings.Replace(string(text), "URL: nar/"+web2.Hash(), "URL: nar/"+web1.Hash(), 1)), 0o644))
	h := c.Handler(tokens{"web1": {web1}, "web2": {web2}, "db1": {path(t, "db1")}})
	for _, q := range []struct {
		token, path string
		want        int
	}{
		{"web1", "/" + web1.Hash() + ".narinfo", http.StatusOK},
		{"web2", "/" + web2.Hash() + ".narinfo", http.StatusOK},
		{"web1", archive, http.StatusOK},
		{"web2", archive, http.StatusOK},
		{"db1", archive, http.StatusNotFound},
	} {
		if got := ask(h, q.path, bearer(q.token)); got.Code != q.want {
			t.Errorf("%s as %s: got %d, want %d", q.path, q.token, got.Code, q.want)
		}
	}
}

func TestClosuresAreForgottenWhenThereAreMany(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "closures"), 0o755))
	r := newReach(dir, time.Now)
	system := func(n int) proto.StorePath {
		p, err := proto.ParseStorePath(fmt.Sprintf("%s%032d-system", proto.StoreDir, n))
		must(t, err)
		return p
	}
	for n := range maxSets + 10 {
		closure := proto.Closure{{Path: system(n), NarHash: fmt.Sprintf("sha256:%052d", n), NarSize: 96}}
		must(t, os.WriteFile(filepath.Join(dir, "closures", system(n).Base()+".txt"), closure.Text(), 0o644))
		if !r.path(system(n).Hash(), []proto.StorePath{system(n), system(0)}) {
			t.Fatalf("system %d may not read itself", n)
		}
	}
	if len(r.sets) != maxSets || r.sets[system(0)] == nil || r.sets[system(1)] != nil {
		t.Errorf("%d closures are remembered, want %d, with that which was asked for last", len(r.sets), maxSets)
	}
}

// TestWhatWasPrunedIsForgottenInTheEnd: for ever new systems no ever larger memory.
func TestWhatWasPrunedIsForgottenInTheEnd(t *testing.T) {
	c := open(t, newFake(t), t.TempDir())
	web1, db1 := path(t, "web1"), path(t, "db1")
	_, err := c.Push(t.Context(), web1, db1)
	must(t, err)
	now := time.Now()
	r := newReach(c.dir, func() time.Time { return now })
	reads := func(p proto.StorePath) bool {
		systems := []proto.StorePath{p}
		return r.path(p.Hash(), systems) && r.archive("nar/"+p.Hash()+".nar.zst", systems)
	}
	if !reads(web1) || !reads(db1) {
		t.Fatal("a system cannot be read")
	}
	must(t, os.Remove(c.listFile(db1)))
	now = now.Add(memory)
	if !reads(web1) || reads(db1) {
		t.Errorf("a day later: %v, %v; want the one that is there, and not the other", reads(web1), reads(db1))
	}
	if got, want := []int{len(r.sets), len(r.paths), len(r.hashes), len(r.learned), len(r.archives)}, []int{1, 3, 3, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("it remembers %v, want %v: web1 alone, and what it needs", got, want)
	}
}

// BenchmarkHandler compares a private cache with a public one: descriptions of a
// closure of 2,000 paths.
func BenchmarkHandler(b *testing.B) {
	dir := b.TempDir()
	c := &Cache{Outside: &Outside{now: time.Now}, dir: dir, maxRequests: defaultMaxRequests, reads: newReads()}
	for _, sub := range []string{"nar", "closures"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	var closure proto.Closure
	for n := range 2000 {
		p, err := proto.ParseStorePath(fmt.Sprintf("%s%032d-path", proto.StoreDir, n))
		if err != nil {
			b.Fatal(err)
		}
		closure = append(closure, proto.ClosurePath{Path: p, NarHash: "sha256:0000000000000000000000000000000000000000000000000000", NarSize: 96})
		text := fmt.Sprintf("StorePath: %s\nURL: nar/%d.nar.zst\n%s", p, n, strings.Repeat("Sig: x\n", 100))
		if err := os.WriteFile(filepath.Join(dir, p.Hash()+".narinfo"), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "closures", closure[0].Path.Base()+".txt"), closure.Text(), 0o644); err != nil {
		b.Fatal(err)
	}
	for name, porter := range map[string]Porter{"public": nil, "private": tokens{"t": {closure[0].Path}}} {
		b.Run(name, func(b *testing.B) {
			h := c.Handler(porter)
			for n := 0; b.Loop(); n++ {
				if got := ask(h, "/"+closure[n%len(closure)].Path.Hash()+".narinfo", bearer("t")); got.Code != http.StatusOK {
					b.Fatal(got.Code)
				}
			}
		})
	}
}
