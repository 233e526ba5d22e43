package cache

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// lineWriter is a client at the other end of a line.
type lineWriter struct {
	*httptest.ResponseRecorder
	net.Conn
}

func (w lineWriter) Write(b []byte) (int, error) { return w.Conn.Write(b) }

// TestAClientKeepsThePace is about a file of three stretches.
func TestAClientKeepsThePace(t *testing.T) {
	c := open(t, newFake(t), t.TempDir())
	must(t, os.WriteFile(filepath.Join(c.dir, "nar", "0000.nar"), make([]byte, 3*stretch), 0o644))
	for name, row := range map[string]struct {
		halves int           // of a stretch, that the client reads
		each   time.Duration // how long it takes for each
		served bool          // until it has read them all
	}{
		"a slow one gets the whole file":       {6, pace/2 - time.Second, true},
		"a slower one is cut off":              {6, pace/2 + time.Second, false},
		"one that never reads is cut off":      {0, 0, false},
		"one that stalls later on is, as soon": {2, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := net.Pipe()
				defer client.Close()
				ended := make(chan time.Time, 1)
				go func() {
					c.Handler(nil).ServeHTTP(lineWriter{httptest.NewRecorder(), server},
						httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/nar/0000.nar", nil))
					ended <- time.Now()
					_ = server.Close() // nothing comes any more
				}()
				var err error
				last := time.Now()
				for range row.halves {
					time.Sleep(row.each)
					if _, err = io.CopyN(io.Discard, client, stretch/2); err != nil {
						break
					}
					last = time.Now()
				}
				if cut := (<-ended).Sub(last); row.served && (err != nil || cut != 0) || !row.served && (cut <= 0 || cut > pace) {
					t.Errorf("it ended %s after the client last read (%v), want it served: %t", cut, err, row.served)
				}
			})
		})
	}
}
