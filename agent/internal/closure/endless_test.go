package closure

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kedge/proto"
)

// TestWhatHasNoEndIsGivenUp: a cache that sends for ever is read up to a limit.
func TestWhatHasNoEndIsGivenUp(t *testing.T) {
	w := newDirectWorld(t)
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if file, ok := w.files[r.URL.Path]; ok {
			_, _ = out.Write(file) // who hangs up is not interested
		}
		for line := []byte(strings.Repeat("x", 1023) + "\n"); ; {
			if _, err := out.Write(line); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	client := (&Ways{}).Client()
	defer client.CloseIdleConnections()
	d := download{cache: server.URL, client: client}
	keys := []proto.PublicKey{w.key.Public()}
	for name, try := range map[string]func() error{
		"a narinfo": func() error {
			_, err := d.look(t.Context(), w.middle.Path, keys)
			return err
		},
		"a list": func() error {
			_, err := HTTPLister{Client: client}.List(t.Context(), server.URL, w.middle.Path)
			return err
		},
		"a small archive": func() error {
			_, err := get(t.Context(), client, d.url(w.middle.File), w.middle.FileSize)
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%s: got %v, want that it is longer than it may be", name, err)
		}
	}
}
