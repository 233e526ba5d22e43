package systemd

import (
	"context"
	"fmt"
	"time"
)

const (
	// pollMin and pollMax bound the time between two questions while waiting;
	// it grows from the one to the other.
	pollMin = 20 * time.Millisecond
	pollMax = 500 * time.Millisecond
)

// An AwaitError says that a unit did not get where it was awaited.
type AwaitError struct {
	Name string
	Last Unit  // as last seen; the zero value if systemd never answered
	Err  error // why the wait ended, and why the last question failed, if it did
}

// Error implements error.
func (e *AwaitError) Error() string {
	last := "never seen"
	if e.Last.Name != "" {
		last = fmt.Sprintf("last %s (%s)", e.Last.ActiveState, e.Last.SubState)
	}
	return fmt.Sprintf("await unit %s: %v; %s", e.Name, e.Err, last)
}

// Unwrap returns why the wait ended.
func (e *AwaitError) Unwrap() error { return e.Err }

// AwaitUnit returns the unit of that name as soon as ok accepts it, which must
// not block. Failing to ask is tried again: systemd may be re-executing itself.
// When ctx ends before, the error is an [*AwaitError].
func (c *Client) AwaitUnit(ctx context.Context, name string, ok func(Unit) bool) (Unit, error) {
	var last Unit
	var lastErr error
	err := poll(ctx, func() (bool, error) {
		u, err := c.Unit(ctx, name)
		if err != nil {
			if ctx.Err() == nil || lastErr == nil { // the end of ctx is no reason beside an earlier one
				lastErr = err
			}
			return false, nil
		}
		last, lastErr = u, nil
		return ok(u), nil
	})
	if err == nil {
		return last, nil
	}
	if lastErr != nil {
		err = fmt.Errorf("%w (%w)", err, lastErr)
	}
	return last, &AwaitError{Name: name, Last: last, Err: err}
}

// poll calls done until it returns true or an error, or ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	for wait := pollMin; ; wait = min(2*wait, pollMax) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}
