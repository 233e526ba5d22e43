package cache

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPushCopiesToFurtherCachesToo: what they do not take is not reported as there.
func TestPushCopiesToFurtherCachesToo(t *testing.T) {
	lists := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, err := io.ReadAll(r.Body); err == nil && r.Method == http.MethodPut {
			lists[r.URL.Path] = string(text)
		}
	}))
	defer server.Close()
	n, dir, state := newFake(t), t.TempDir(), t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "nar"), 0o755))
	c, err := Open(Options{
		Nix: n, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-1",
		Log: slog.New(slog.DiscardHandler), Push: []Target{{URL: "file://" + dir}, {URL: server.URL + "/x?priority=1"}},
	})
	must(t, err)
	n.refuses = server.URL
	if _, err := c.Push(t.Context(), path(t, "web1")); !errors.Is(err, errRefused) || strings.Contains(err.Error(), c.keyFile) {
		t.Fatalf("error = %v, want that one cache takes nothing", err)
	}
	n.refuses = ""
	closures, err := c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	text, err := os.ReadFile(filepath.Join(dir, path(t, "lib").Hash()+".narinfo"))
	if err != nil || !strings.Contains(string(text), "Sig: kedge-test-1:") {
		t.Errorf("the other cache says %q, %v, want it signed by us", text, err)
	}
	want := string(closures[path(t, "web1")].Text())
	list, err := os.ReadFile(filepath.Join(dir, "closures", path(t, "web1").Base()+".txt"))
	if err != nil || string(list) != want {
		t.Errorf("closure list in the directory: %q, %v", list, err)
	}
	if got := lists["/x/closures/"+path(t, "web1").Base()+".txt"]; got != want {
		t.Errorf("closure list at the server: %q", lists)
	}
	if last := n.copies[len(n.copies)-1].To; !strings.Contains(last, "priority=1") {
		t.Errorf("copied to %s, want with its parameters", last)
	}
	copies := len(n.copies)
	_, err = c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	if len(n.copies) != copies {
		t.Errorf("copied again to %v", n.copies[copies:])
	}
	c.now = func() time.Time { return time.Now().Add(sentFor) }
	_, err = c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	if got := len(n.copies) - copies; got != 2 {
		t.Errorf("an hour later it was copied %d times, want to both caches, which others may have pruned", got)
	}
	_, err = c.Push(t.Context(), path(t, "db1"))
	must(t, err)
	c.now = func() time.Time { return time.Now().Add(2 * sentFor) }
	_, err = c.Push(t.Context(), path(t, "db1"))
	must(t, err)
	if len(c.sent) != 2 {
		t.Errorf("remembered is %v, want nothing of what is no longer believed", c.sent)
	}
}

// TestCachesThatDifferInTheirParametersAreDifferent, and so is what is signed.
func TestCachesThatDifferInTheirParametersAreDifferent(t *testing.T) {
	n := newFake(t)
	o, _ := openOther(t, n, Target{URL: "s3://fleet?endpoint=one.example"}, Target{URL: "s3://fleet?endpoint=two.example"})
	_, err := o.Relay(t.Context(), path(t, "db1"))
	must(t, err)
	_, err = o.Push(t.Context(), path(t, "db1"))
	must(t, err)
	var got []string
	for _, c := range n.copies {
		u, err := url.Parse(c.To)
		must(t, err)
		got = append(got, fmt.Sprint(u.Query().Get("endpoint"), " ", u.Query().Has("secret-key")))
	}
	if want := []string{"one.example false", "two.example false", "one.example true", "two.example true"}; !slices.Equal(got, want) {
		t.Errorf("copied to %q, want %q", got, want)
	}
}

// TestWhatIsPushedIsThereThen, also if it was pruned while a slow cache took its copy: it
// was not published yet, and room was short.
func TestWhatIsPushedIsThereThen(t *testing.T) {
	p := newPruned(t)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	p.targets = []Target{{URL: server.URL}}
	p.nix.meanwhile = func() {
		p.passed += copyGrace + time.Minute
		if done, err := p.Prune(t.Context(), PruneOptions{Short: true}); err != nil || done.Systems != 1 {
			t.Errorf("pruned %+v, %v, want the system", done, err)
		}
	}
	p.push("web1")
	p.nix.meanwhile = nil
	if done, err := p.Prune(t.Context(), PruneOptions{Short: true}); err != nil || done != (Pruned{}) {
		t.Errorf("pruned %+v, %v, want nothing of what was pushed just now", done, err)
	}
	for _, file := range []string{p.listFile(path(t, "web1")), p.narInfoFile(path(t, "lib"))} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}
