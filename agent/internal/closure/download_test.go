package closure

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnAnswerThatStopsIsGivenUp: silence has a bound while somebody waits, and only
// then.
func TestAnAnswerThatStopsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		from, to := io.Pipe()
		context.AfterFunc(ctx, func() { _ = from.CloseWithError(ctx.Err()) }) // as an answer's body does
		body := newImpatient(ctx, cancel, from)
		go func() {
			for range 3 {
				time.Sleep(silentTimeout - time.Second)
				_, _ = to.Write([]byte("a"))
			}
		}()
		b := make([]byte, 1)
		for range 3 {
			if _, err := body.Read(b); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // nobody waits
		}
		if _, err := body.Read(b); !errors.Is(err, errSilent) {
			t.Errorf("got %v, want %v", err, errSilent)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	})
}
