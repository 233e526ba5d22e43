package controller

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// deadlines is an answer that notes by when each part of it must have been taken.
type deadlines struct {
	*httptest.ResponseRecorder
	now time.Time
	all []time.Duration // from when it was written
}

func (d *deadlines) SetWriteDeadline(t time.Time) error { d.now = t; return nil }

func (d *deadlines) Write(p []byte) (int, error) {
	d.all = append(d.all, time.Until(d.now))
	return d.ResponseRecorder.Write(p)
}

// TestALargeFileMayTakeAsLongAsItGoesOn: a host that is told to read slowly gets one whose answer takes hours.
func TestALargeFileMayTakeAsLongAsItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nothing := http.NotFoundHandler()
		p := pages{
			enrol: nothing, hooks: nothing, api: nothing,
			cache: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for range 5 {
					_, _ = io.WriteString(w, "part")
					time.Sleep(50 * time.Minute) // until it was taken
				}
			}),
		}
		got := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		p.handler(slog.New(slog.DiscardHandler)).ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/cache/nar/x.nar", http.NoBody))
		for i, left := range got.all {
			if left != answerTimeout {
				t.Errorf("part %d has %v left, want %v", i, left, answerTimeout)
			}
		}
		if len(got.all) != 5 {
			t.Errorf("%d parts were written", len(got.all))
		}
	})
}
