package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"kedge/proto/bus"
)

// TestWatchOutlivesAnOutage: and says that what it shows is old, and redraws what
// the news of that spoiled.
func TestWatchOutlivesAnOutage(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		t.Run(fmt.Sprint("terminal ", terminal), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				calls := 0
				state := func(context.Context, *bus.Conn, uint64, time.Duration) (shown, error) {
					calls++
					switch calls {
					case 2, 3:
						return shown{}, fmt.Errorf("fleet: %w", bus.ErrNotConnected)
					case 5:
						stop()
					}
					return shown{version: 7, draw: func(w io.Writer) { fmt.Fprintln(w, "web1") }}, nil
				}
				var stdout, stderr bytes.Buffer
				k := &kedge{Options: Options{Stdout: &stdout, Stderr: &stderr, Terminal: terminal}}
				if err := k.shown(ctx, nil, state, false, true); err != nil {
					t.Fatal(err)
				}
				want := "web1\n\n"
				if terminal {
					want = clearScreen + "web1\n" + clearScreen + "web1\n"
				}
				if got := stdout.String(); got != want {
					t.Errorf("shown: %q, want %q", got, want)
				}
				want = "kedge: fleet: " + bus.ErrNotConnected.Error() + "; trying again\nkedge: the controller answers again\n"
				if got := stderr.String(); got != want {
					t.Errorf("said: %q, want %q", got, want)
				}
			})
		})
	}
}
