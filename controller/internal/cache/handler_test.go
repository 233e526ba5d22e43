package cache

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHandlerServes(t *testing.T) {
	c := open(t, newFake(t), t.TempDir())
	_, err := c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	server := httptest.NewServer(http.StripPrefix("/cache", c.Handler(nil)))
	defer server.Close()

	web1 := path(t, "web1")
	nar := "NAR of " + web1.String()
	for name, row := range map[string]struct {
		path, contentType, cacheControl, begins string
	}{
		"what Nix asks for first": {"/nix-cache-info", "text/x-nix-cache-info", "no-cache", cacheInfo},
		"a narinfo":               {"/" + web1.Hash() + ".narinfo", "text/x-nix-narinfo", "no-cache", "StorePath: " + web1.String()},
		"a NAR":                   {"/nar/" + web1.Hash() + ".nar.zst", "application/x-nix-nar", "public, max-age=31536000, immutable", nar},
		"a closure list":          {"/closures/" + web1.Base() + ".txt", "text/plain; charset=utf-8", "no-cache", "/nix/store/"},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := get(t, http.MethodGet, server.URL+"/cache"+row.path, nil)
			if response.StatusCode != http.StatusOK || !strings.HasPrefix(body, row.begins) {
				t.Errorf("GET %s: got %s, %q, want 200 and %q…", row.path, response.Status, body, row.begins)
			}
			if got := response.Header.Get("Content-Type"); got != row.contentType {
				t.Errorf("Content-Type: got %q, want %q", got, row.contentType)
			}
			if got := response.Header.Get("Cache-Control"); got != row.cacheControl {
				t.Errorf("Cache-Control: got %q, want %q", got, row.cacheControl)
			}
			head, body := get(t, http.MethodHead, server.URL+"/cache"+row.path, nil)
			if head.StatusCode != http.StatusOK || body != "" || head.ContentLength != response.ContentLength {
				t.Errorf("HEAD %s: got %s, %d bytes, body %q", row.path, head.Status, head.ContentLength, body)
			}
		})
	}

	response, body := get(t, http.MethodGet, server.URL+"/cache/nar/"+web1.Hash()+".nar.zst", http.Header{"Range": {"bytes=4-"}})
	if response.StatusCode != http.StatusPartialContent || body != nar[4:] {
		t.Errorf("range: got %s, %q, want 206 and %q", response.Status, body, nar[4:])
	}
}

func TestHandlerServesNothingElse(t *testing.T) {
	c := open(t, newFake(t), t.TempDir())
	_, err := c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	secret := filepath.Join(filepath.Dir(c.dir), "keys", "cache")
	must(t, os.Symlink(secret, filepath.Join(c.dir, "nar", "0000.nar")))
	must(t, os.Mkdir(filepath.Join(c.dir, "nar", "1111.nar"), 0o755))
	must(t, os.WriteFile(filepath.Join(c.dir, "notes.txt"), []byte("private"), 0o644))

	for name, row := range map[string]struct {
		method, path string
		want         int
	}{
		"the top":                  {http.MethodGet, "/", http.StatusNotFound},
		"a directory":              {http.MethodGet, "/nar/", http.StatusNotFound},
		"a directory like a NAR":   {http.MethodGet, "/nar/1111.nar", http.StatusNotFound},
		"a path upwards":           {http.MethodGet, "/nar/../../keys/cache", http.StatusNotFound},
		"an escaped path upwards":  {http.MethodGet, "/nar/%2e%2e/%2e%2e/keys/cache", http.StatusNotFound},
		"an escaped slash":         {http.MethodGet, "/nar%2f..%2f..%2fkeys%2fcache", http.StatusNotFound},
		"a link out of the cache":  {http.MethodGet, "/nar/0000.nar", http.StatusInternalServerError},
		"a file that is not ours":  {http.MethodGet, "/notes.txt", http.StatusNotFound},
		"a path that is not there": {http.MethodGet, "/" + path(t, "db1").Hash() + ".narinfo", http.StatusNotFound},
		"an upload":                {http.MethodPut, "/nix-cache-info", http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			// Without a server, whose router would clean the path.
			recorder := httptest.NewRecorder()
			request := httptest.NewRequest(row.method, "http://build"+row.path, nil)
			c.Handler(nil).ServeHTTP(recorder, request)
			if recorder.Code != row.want {
				t.Errorf("%s %s: got %d, %q, want %d", row.method, row.path, recorder.Code, recorder.Body, row.want)
			}
			for _, leak := range []string{"kedge-test-1:", "private", "1111.nar"} {
				if strings.Contains(recorder.Body.String(), leak) {
					t.Errorf("%s %s: answer %q holds %q", row.method, row.path, recorder.Body, leak)
				}
			}
		})
	}
}

func get(t *testing.T, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	must(t, err)
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response, string(body)
}
