package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

func TestWhoMayHaveBeenAddedIsToBeAddedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		err     error
		inDoubt bool
	}{
		"the answer was lost":    {fmt.Errorf("operator-add: %w", bus.ErrTimeout), true},
		"the connection was":     {fmt.Errorf("operator-add: %w", bus.ErrNotConnected), true},
		"nobody waited for it":   {fmt.Errorf("operator-add: %w", context.Canceled), true},
		"it went wrong halfway":  {bus.Errorf(bus.CodeInternal, "disk full"), true},
		"it stopped halfway":     {bus.Errorf(bus.CodeUnavailable, "the controller stops"), true},
		"it was not begun":       {&bus.APIError{Code: bus.CodeUnavailable, Message: "the controller stops", Unbegun: true}, false},
		"it was refused":         {bus.Errorf(bus.CodeRefused, "U… is somebody else's"), false},
		"nobody was there":       {fmt.Errorf("operator-add: %w", bus.ErrNoResponders), false},
		"NATS does not allow it": {fmt.Errorf("operator-add: %w", bus.ErrDenied), false},
	} {
		err := addAgain(tt.err, "ada")
		if !errors.Is(err, tt.err) || strings.Contains(err.Error(), "add ada again") != tt.inDoubt {
			t.Errorf("%s: %v, want that says to add ada again: %t", name, err, tt.inDoubt)
		}
	}
}
