package closure

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestArchivesInOtherCachesComeByTheRelayToo: where the way to a cache is one that Nix
// does not know, the way to another one may be, too; and that one is shown no token.
func TestArchivesInOtherCachesComeByTheRelayToo(t *testing.T) {
	tk := token(t)
	var shown []string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.Header.Get("Authorization"))
		if r.URL.Path == "/up/nar/abc.nar.xz" {
			_, _ = w.Write([]byte(archive))
			return
		}
		http.NotFound(w, r)
	}))
	defer upstream.Close()
	told := "StorePath: /nix/store/" + strings.Repeat("0", 32) + "-lib\nURL: " + upstream.URL + "/up/nar/abc.nar.xz\nCompression: xz\n" +
		"NarHash: sha256:x\nNarSize: 96\nReferences: \nSig: up-1:x\n"
	ours := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+tk.Reveal() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(told))
	}))
	defer ours.Close()
	w := &Ways{}
	w.Assigned([]string{ours.URL}, tk)
	r := startRelay(t, w, ours.URL)

	code, text := read(t, r.url+"/"+strings.Repeat("0", 32)+".narinfo", nil)
	if code != http.StatusOK || strings.Contains(text, upstream.URL) || !strings.Contains(text, "Compression: xz\n") {
		t.Fatalf("Nix is told %d %q, want that the archive is in the relay", code, text)
	}
	_, rest, _ := strings.Cut(text, "\nURL: ")
	file, _, _ := strings.Cut(rest, "\n")
	if code, text := read(t, r.url+"/"+file, nil); code != http.StatusOK || text != archive {
		t.Errorf("%s: got %d %q, want the archive in the other cache", file, code, text)
	}
	if len(shown) != 1 || shown[0] != "" {
		t.Errorf("the other cache was asked with %q, want once, and without the token", shown)
	}
}
