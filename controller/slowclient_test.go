package controller

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// deadlined is an answer that notes by when it must have been taken.
type deadlined struct {
	*httptest.ResponseRecorder
	by []time.Time
}

func (d *deadlined) SetWriteDeadline(t time.Time) error { d.by = append(d.by, t); return nil }

// TestTheCacheSeesToSlowClientsByItself: whoever stalls holds a turn of the cache for as long as
// the cache says, and nothing around it says otherwise.
func TestTheCacheSeesToSlowClientsByItself(t *testing.T) {
	nothing, soon := http.NotFoundHandler(), time.Now().Add(time.Minute)
	p := pages{
		enrol: nothing, hooks: nothing, api: nothing,
		cache: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(soon); err != nil {
				t.Error(err)
			}
			for range 3 {
				_, _ = io.WriteString(w, "part")
			}
		}),
	}
	got := &deadlined{ResponseRecorder: httptest.NewRecorder()}
	p.handler(slog.New(slog.DiscardHandler)).ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/cache/nar/x.nar", http.NoBody))
	if len(got.by) != 1 || !got.by[0].Equal(soon) || got.Body.Len() != 12 {
		t.Errorf("%d bytes, to be taken by %v, want 12 and by %v alone", got.Body.Len(), got.by, soon)
	}
}
