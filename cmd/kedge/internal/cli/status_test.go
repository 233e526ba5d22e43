package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/proto"
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
					case 2:
						return shown{}, fmt.Errorf("fleet: %w", bus.ErrNotConnected)
					case 3:
						return shown{}, bus.Errorf(bus.CodeUnavailable, "the controller stops")
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

// TestStatusTellsOfAForcePush for as long as nothing newer is there.
func TestStatusTellsOfAForcePush(t *testing.T) {
	old, forced, newer := revision(t, "a"), revision(t, "b"), revision(t, "c")
	const want = "channel main: the branch was pushed over: bbbbbbbbbb does not follow from aaaaaaaaaa, which was deployed before it\n"
	for newest, told := range map[proto.Revision]bool{forced: true, newer: false} {
		var out bytes.Buffer
		s := proto.SourceStatus{Channel: "main", Revision: newest, PushedOver: &proto.ForcePush{Revision: forced, Over: old}}
		drawFleet(&out, proto.FleetReply{Sources: []proto.SourceStatus{s}}, time.Now())
		if got := strings.Contains(out.String(), want); got != told {
			t.Errorf("of %s: %q, want the force-push in it: %t", newest.Short(), &out, told)
		}
	}
}
