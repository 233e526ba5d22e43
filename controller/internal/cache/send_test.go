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
	"testing/synctest"
	"time"

	"kedge/internal/durable"
	"kedge/internal/nix"
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
	if !slices.ContainsFunc(n.copies, func(c nix.CopyOptions) bool {
		return strings.Contains(c.To, server.URL) && strings.Contains(c.To, "priority=1")
	}) {
		t.Errorf("copied to %+v, want with its parameters", n.copies)
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
	byEndpoint := func(a, b nix.CopyOptions) int { return strings.Compare(a.To, b.To) }
	slices.SortFunc(n.copies[:2], byEndpoint)
	slices.SortFunc(n.copies[2:], byEndpoint)
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

// TestAFurtherCacheThatHangsHoldsUpNoOther: they have everything while it is waited for,
// and are not asked again afterwards.
func TestAFurtherCacheThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFake(t)
		n.hangsAt = "s3://hangs"
		o, _ := openOther(t, n, Target{URL: "s3://hangs", Timeout: time.Minute}, Target{URL: "s3://works"})
		ended := make(chan error)
		go func() {
			_, err := o.Push(t.Context(), path(t, "db1"))
			ended <- err
		}()
		synctest.Wait()
		if !o.wasSent(transfer{1, true, path(t, "db1")}) {
			t.Error("a cache that works waits for one that hangs")
		}
		err := <-ended
		if slow, ok := errors.AsType[*SlowError](err); !ok || slow.After != time.Minute {
			t.Errorf("error = %v, want a SlowError after a minute", err)
		}
		n.hangsAt = ""
		_, err = o.Push(t.Context(), path(t, "db1"))
		must(t, err)
		if len(n.copies) != 3 {
			t.Errorf("copied %+v, want once to the one, and twice to that which hung", n.copies)
		}
	})
}

// TestWhatIsInAFolderIsOnTheDisk before anybody is told of it.
func TestWhatIsInAFolderIsOnTheDisk(t *testing.T) {
	n, dir := newFake(t), t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "nar"), 0o755))
	o, _ := openOther(t, n, Target{URL: "file://" + dir}, Target{URL: "s3://fleet"})
	full := errors.New("no space left on device")
	var synced []string
	o.syncFS = func(dir string) error {
		for _, file := range []string{path(t, "db1").Hash() + narInfoSuffix, filepath.Join(closuresDir, path(t, "db1").Base()+listSuffix)} {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				t.Error(err)
			}
		}
		synced = append(synced, dir)
		return full
	}
	if _, err := o.Push(t.Context(), path(t, "db1")); !errors.Is(err, full) {
		t.Errorf("error = %v, want %v", err, full)
	}
	o.syncFS = durable.SyncFileSystem
	_, err := o.Push(t.Context(), path(t, "db1"))
	must(t, err)
	if !slices.Equal(synced, []string{dir}) {
		t.Errorf("synced %q, want %q alone", synced, dir)
	}
	if err := durable.SyncFileSystem(filepath.Join(dir, "missing")); err == nil {
		t.Error("synced what is not there")
	}
}
