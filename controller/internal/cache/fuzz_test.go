package cache

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whatever is asked for, nothing but the files of a cache is served.
func FuzzHandler(f *testing.F) {
	state := f.TempDir()
	c := &Cache{Outside: &Outside{now: time.Now}, dir: filepath.Join(state, "cache"), maxRequests: 1, reads: newReads()}
	served := map[string]bool{
		"/nix-cache-info": true, "/nar/0123456789.nar.zst": true, "/" + strings.Repeat("0", 32) + ".narinfo": true,
		"/closures/" + strings.Repeat("0", 32) + "-web1.txt": true,
	}
	err := errors.Join(os.MkdirAll(filepath.Join(c.dir, "nar"), 0o700), os.MkdirAll(filepath.Join(c.dir, "closures"), 0o700),
		os.MkdirAll(filepath.Join(state, "keys"), 0o700))
	for name := range served {
		err = errors.Join(err, os.WriteFile(filepath.Join(c.dir, name), []byte("public"), 0o600))
		f.Add(name)
	}
	secret := []byte("private")
	err = errors.Join(err, os.WriteFile(filepath.Join(state, "keys", "cache"), secret, 0o600), os.WriteFile(filepath.Join(c.dir, "notes.txt"), secret, 0o600))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		"", "/", "/nar/", "/notes.txt", "/../keys/cache", "/nar/../../keys/cache", "nix-cache-info", "/nix-cache-info\n", "/nar/0123456789.nar.zst/../../notes.txt",
	} {
		f.Add(s)
	}
	h := c.Handler(nil)
	f.Fuzz(func(t *testing.T, path string) {
		r := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}, RemoteAddr: "192.0.2.7:1", Header: http.Header{}}).WithContext(t.Context())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if ok := w.Code == http.StatusOK; ok != served[path] || strings.Contains(w.Body.String(), string(secret)) {
			t.Errorf("%q: got %d %q", path, w.Code, w.Body)
		}
	})
}
