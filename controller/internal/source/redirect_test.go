package source_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kedge/controller/internal/source"
)

// TestATokenStaysWithItsServer has that one lead git to another one, which has the
// repository, asks for the token and takes whatever comes.
func TestATokenStaysWithItsServer(t *testing.T) {
	var mu sync.Mutex
	var shown []string
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if a := r.Header.Get("Authorization"); a != "" {
			shown = append(shown, r.Method+" "+r.URL.Path+" "+a)
		}
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = w.Write([]byte("001e# service=git-upload-pack\n0000000eversion 2\n0015agent=git/2.39.5\n0013ls-refs=unborn\n0012fetch=shallow\n0000"))
	}))
	defer other.Close()
	first := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, other.URL+r.URL.String(), http.StatusMovedPermanently)
	}))
	defer first.Close()
	home, token := t.TempDir(), filepath.Join(t.TempDir(), "token")
	writeFile(t, filepath.Join(home, ".gitconfig"), "[http]\n\tsslVerify = false\n")
	writeFile(t, token, "s3cret-one\n")
	t.Setenv("HOME", home)
	r := newRepository(t, source.Options{URL: first.URL + "/fleet.git", Branch: "main", Credentials: source.Credentials{TokenFile: token}})
	_, err := r.Check(t.Context())
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got error %v, want one without the token", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(shown) > 0 {
		t.Errorf("the other server was shown %q", shown)
	}
}
