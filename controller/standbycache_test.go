package controller

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
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
