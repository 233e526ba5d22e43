package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"kedge/proto/bus"
)

func TestWhoIsAwayForAMomentIsAskedAgain(t *testing.T) {
	away := fmt.Errorf("call host-add: %w", bus.ErrNoResponders)
	lost := errors.New("the answer was lost")
	stops := fmt.Errorf("call host-add: %w", &bus.APIError{Code: bus.CodeUnavailable, Message: "the controller stops", Unbegun: true})
	halfway := fmt.Errorf("call host-add: %w", bus.Errorf(bus.CodeUnavailable, "the controller stops: audit: context canceled"))
	for name, tt := range map[string]struct {
		answers []error // one after the other, the last one for ever
		calls   int
		want    error
	}{
		"there at once":             {[]error{nil}, 1, nil},
		"there after a moment":      {[]error{away, away, nil}, 3, nil},
		"asked, and not heard from": {[]error{away, lost}, 2, lost},
		"not there":                 {[]error{away}, int(absentFor / absentPause), bus.ErrNoResponders},
		"stops before it begins":    {[]error{stops, away, nil}, 3, nil},
		"never begins":              {[]error{stops}, int(absentFor / retryDelay), stops},
		"stops while it is at it":   {[]error{halfway, nil}, 1, halfway},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, began := 0, time.Now()
				err := reach(t.Context(), func() error {
					calls++
					return tt.answers[min(calls, len(tt.answers))-1]
				})
				if !errors.Is(err, tt.want) || calls < tt.calls || calls > tt.calls+1 || time.Since(began) > absentFor {
					t.Errorf("%d calls within %s, %v; want %d, %v", calls, time.Since(began), err, tt.calls, tt.want)
				}
			})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := reach(ctx, func() error { return away }); !errors.Is(err, bus.ErrNoResponders) {
		t.Errorf("an interrupted call ends with %v", err)
	}
}
