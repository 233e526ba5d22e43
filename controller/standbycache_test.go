package controller

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/pass"
)

// TestAStandbyThatHearsNothingServesNobody: somebody may have been revoked meanwhile.
func TestAStandbyThatHearsNothingServesNobody(t *testing.T) {
	now := time.Now()
	var n news
	h := n.guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), func() time.Time { return now })
	serves := func(when string, want int) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/nix-cache-info", http.NoBody))
		if w.Code != want {
			t.Errorf("%s: answers %d, want %d", when, w.Code, want)
		}
	}
	serves("before it ever heard", http.StatusServiceUnavailable)
	n.hear(now)
	serves("at once", http.StatusNoContent)
	now = now.Add(newsFor - time.Second)
	serves("soon after", http.StatusNoContent)
	now = now.Add(time.Second)
	serves("too long after", http.StatusServiceUnavailable)
	n.hear(now)
	serves("when it hears again", http.StatusNoContent)
}

// servedCache is a cache that has whatever it is asked for.
type servedCache struct{ Cache }

func (servedCache) Handler(cache.Porter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
}

// TestAStandbyServesWhatIsForEverybodyAtOnce, and the rest when it has heard who may have it.
func TestAStandbyServesWhatIsForEverybodyAtOnce(t *testing.T) {
	for public, want := range map[bool]int{true: http.StatusNoContent, false: http.StatusServiceUnavailable} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, keysDir), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := pass.Open(filepath.Join(dir, keysDir, passKeyFile)); err != nil {
			t.Fatal(err)
		}
		c := &Controller{o: Options{
			Config: Config{StateDir: dir, Cache: CacheConfig{Embedded: true, Public: public}}, Parts: &Parts{Cache: servedCache{}}, Now: time.Now,
		}}
		var n news
		h, err := c.standbyCache(&n)
		if err != nil {
			t.Fatal(err)
		}
		asks := func(want int) {
			t.Helper()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/nix-cache-info", http.NoBody))
			if w.Code != want {
				t.Errorf("public: %t: answers %d, want %d", public, w.Code, want)
			}
		}
		asks(want)
		n.hear(time.Now())
		asks(http.StatusNoContent)
	}
}
