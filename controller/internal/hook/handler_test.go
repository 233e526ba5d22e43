package hook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const password = "0123456789abcdef0123"

func sign(body string) string {
	mac := hmac.New(sha256.New, []byte(password))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// hooks is a handler with one channel, main, and what came of it.
type hooks struct {
	http.Handler
	file    string
	looks   atomic.Int64
	results map[Result]int
	said    *bytes.Buffer // in the log
}

func newHooks(t *testing.T, kind Kind) *hooks {
	t.Helper()
	h := &hooks{file: filepath.Join(t.TempDir(), "secret"), results: map[Result]int{}, said: &bytes.Buffer{}}
	if err := os.WriteFile(h.file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.Handler = NewHandler(Options{
		Hooks: map[string]Hook{"main": {Kind: kind, SecretFile: h.file, Header: "X-Own", Branch: "main", Look: func() { h.looks.Add(1) }}},
		Count: func(_ string, r Result) { h.results[r]++ }, Log: slog.New(slog.NewTextHandler(h.said, nil)),
	})
	return h
}

func (h *hooks) post(t *testing.T, channel, body string, headers map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, Path+channel, strings.NewReader(body))
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHooksOfEveryKind(t *testing.T) {
	const push = `{"before":"0","commits":[{"ref":"x"}],"ref":"refs/heads/main"}`
	const other = `{"ref":"refs/heads/other"}`
	large := `{"ref":"refs/heads/main","x":"` + strings.Repeat("x", 1<<20) + `"}`
	for name, c := range map[string]struct {
		kind    Kind
		body    string
		headers map[string]string
		status  int
		looks   int64
	}{
		"github":                  {GitHub, push, map[string]string{"X-Hub-Signature-256": "sha256=" + sign(push), "X-GitHub-Event": "push"}, 202, 1},
		"a large one":             {GitHub, large, map[string]string{"X-Hub-Signature-256": "sha256=" + sign(large)}, 202, 1},
		"github, a ping":          {GitHub, push, map[string]string{"X-Hub-Signature-256": "sha256=" + sign(push), "X-GitHub-Event": "ping"}, 200, 0},
		"github, another branch":  {GitHub, other, map[string]string{"X-Hub-Signature-256": "sha256=" + sign(other)}, 200, 0},
		"github, forged":          {GitHub, push, map[string]string{"X-Hub-Signature-256": "sha256=" + sign(other)}, 401, 0},
		"github, without":         {GitHub, push, nil, 401, 0},
		"github, no hex":          {GitHub, push, map[string]string{"X-Hub-Signature-256": "sha256=zz"}, 401, 0},
		"github, the old hash":    {GitHub, push, map[string]string{"X-Hub-Signature": "sha1=" + sign(push)}, 401, 0},
		"github, gitlab's header": {GitHub, push, map[string]string{"X-Gitlab-Token": password}, 401, 0},
		"gitlab":                  {GitLab, push, map[string]string{"X-Gitlab-Token": password, "X-Gitlab-Event": "Push Hook"}, 202, 1},
		"gitlab, a tag":           {GitLab, push, map[string]string{"X-Gitlab-Token": password, "X-Gitlab-Event": "Tag Push Hook"}, 200, 0},
		"gitlab, forged":          {GitLab, push, map[string]string{"X-Gitlab-Token": password + "x"}, 401, 0},
		"gitlab, without":         {GitLab, push, nil, 401, 0},
		"gitea":                   {Gitea, push, map[string]string{"X-Gitea-Signature": sign(push)}, 202, 1},
		"gitea, forged":           {Gitea, push, map[string]string{"X-Gitea-Signature": sign(other)}, 401, 0},
		"forgejo":                 {Forgejo, push, map[string]string{"X-Forgejo-Signature": sign(push)}, 202, 1},
		"forgejo, forged":         {Forgejo, push, map[string]string{"X-Forgejo-Signature": strings.Repeat("0", 64)}, 401, 0},
		"one's own":               {HMAC, "anything", map[string]string{"X-Own": sign("anything")}, 202, 1},
		"one's own, forged":       {HMAC, "anything", map[string]string{"X-Own": sign("else")}, 401, 0},
	} {
		h := newHooks(t, c.kind)
		w := h.post(t, "main", c.body, c.headers)
		if w.Code != c.status || h.looks.Load() != c.looks {
			t.Errorf("%s: status %d and %d looks, want %d and %d", name, w.Code, h.looks.Load(), c.status, c.looks)
		}
		if w.Code == http.StatusUnauthorized && w.Body.String() != "unauthorized\n" {
			t.Errorf("%s: a stranger is told %q", name, w.Body)
		}
	}
}

func TestHooksThatAreNot(t *testing.T) {
	h := newHooks(t, GitLab)
	token := map[string]string{"X-Gitlab-Token": password}
	if w := h.post(t, "other", "{}", token); w.Code != http.StatusNotFound {
		t.Errorf("an unknown channel: status %d, want 404", w.Code)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, Path+"main", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d, want 405", w.Code)
	}
	if w := h.post(t, "main", strings.Repeat("x", maxBody+1), token); w.Code != http.StatusUnauthorized {
		t.Errorf("a body without end: status %d, want 401", w.Code)
	}
	for _, text := range []string{"", "short"} {
		if err := os.WriteFile(h.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if w := h.post(t, "main", "{}", map[string]string{"X-Gitlab-Token": text}); w.Code != http.StatusServiceUnavailable || h.looks.Load() != 0 {
			t.Errorf("the secret %q: status %d, %d looks, want 503 and none", text, w.Code, h.looks.Load())
		}
	}
	if h.results[Failed] != 2 || h.results[Refused] != 1 {
		t.Errorf("results = %v", h.results)
	}
}

// TestAStormCostsALookNowAndThen: and the last one of it is not lost.
func TestAStormCostsALookNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooks(t, GitLab)
		began := time.Now()
		for range 5000 {
			if w := h.post(t, "main", "{}", map[string]string{"X-Gitlab-Token": password}); w.Code != http.StatusAccepted {
				t.Fatalf("status %d", w.Code)
			}
			time.Sleep(time.Millisecond)
		}
		stormed := time.Since(began)
		before := h.looks.Load()
		time.Sleep(pause)
		synctest.Wait()
		if most := int64(stormed/pause) + 1; before > most || h.looks.Load() != before+1 {
			t.Errorf("%d looks in %s, and %d after it, want at most %d, and one more", before, stormed, h.looks.Load(), most)
		}
	})
}

// TestAStormIsLoggedNowAndThen: strangers do not fill the disk, whatever is wrong.
func TestAStormIsLoggedNowAndThen(t *testing.T) {
	for name, text := range map[string]string{"a wrong signature": password, "no secret": ""} {
		synctest.Test(t, func(t *testing.T) {
			h := newHooks(t, GitLab)
			if err := os.WriteFile(h.file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 100 {
				h.post(t, "main", "{}", map[string]string{"X-Gitlab-Token": "wrong"})
			}
			time.Sleep(2 * logPause)
			synctest.Wait()
			if lines := strings.Count(h.said.String(), "\n"); lines != 2 {
				t.Errorf("%s: %d lines, want the first and one for the others", name, lines)
			}
		})
	}
}

func FuzzRefOf(f *testing.F) {
	for _, seed := range []string{`{"ref":"refs/heads/main"}`, `{"a":{"ref":"x"},"ref":"y"}`, `[`, `{"ref":3}`, `{"a":[[[`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		if ref := refOf(head); len(ref) > 3*len(head) {
			t.Errorf("refOf(%q) = %q", head, ref)
		}
	})
}

func FuzzVerifies(f *testing.F) {
	f.Add("github", "sha256="+sign("x"), "x")
	f.Add("gitlab", password, "x")
	f.Add("hmac", "", "")
	f.Fuzz(func(t *testing.T, kind, header, body string) {
		k := Kind(kind)
		mac := hmac.New(sha256.New, []byte(password))
		mac.Write([]byte(body))
		h := http.Header{}
		for _, name := range append(k.signatures("X-Own"), "X-Gitlab-Token") {
			h.Set(name, header)
		}
		ok := k.verifies("X-Own", h, secret{key: []byte(password)}, mac.Sum(nil), time.Now())
		if ok && header != password && !strings.EqualFold(strings.TrimPrefix(header, "sha256="), sign(body)) {
			t.Errorf("%q: %q verifies %q", kind, header, body)
		}
	})
}
