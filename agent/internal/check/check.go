// Package check tries declared checks: once, or until they have passed. It says
// in a few words why one does not.
package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

// Where a check does not say otherwise.
const (
	DefaultInterval = time.Second
	DefaultTimeout  = 5 * time.Second
)

// A Runner tries checks, which it knows by their names. It is safe for concurrent use.
type Runner struct {
	Units Units // required
	Subject

	mu   sync.Mutex
	left map[string]int // guarded by mu; process groups that were killed, by the names of their checks
}

// A Subject is what programs are told that they are run for.
type Subject struct {
	Deployment string          // its ID
	Toplevel   proto.StorePath // the system that runs
}

// Units is systemd; *systemd.Client is it.
type Units interface {
	// Unit returns one unit, with details.
	Unit(ctx context.Context, name string) (systemd.Unit, error)
}

// Timeout returns how long one try of c may take.
func Timeout(c deployment.Check) time.Duration { return cmp.Or(c.Timeout, DefaultTimeout) }

// Try tries c once. If ctx ends before that is decided, c does not pass.
func (r *Runner) Try(ctx context.Context, c deployment.Check) proto.CheckResult {
	start := time.Now()
	limit := Timeout(c)
	bounded, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not decided within %s", limit))
	defer cancel()
	err := r.try(bounded, c)
	if err != nil && bounded.Err() != nil {
		err = late(err, context.Cause(bounded))
	}
	result := proto.CheckResult{Name: c.Name, Required: c.Required, Passed: err == nil, Time: start, Duration: time.Since(start)}
	if err != nil {
		result.Message = clip(err.Error())
	}
	return result
}

// late returns an error that says that the time was up, and of a program whether it
// cannot be ended, with what it had said by then.
func late(err, cause error) error {
	said, ok := errors.AsType[*programError](err)
	if !ok {
		return cause
	}
	if errors.Is(said.err, cause) {
		cause = said.err
	}
	if said.output != "" {
		return fmt.Errorf("%w: %s", cause, said.output)
	}
	return cause
}

// TryAll tries all of checks once, at the same time, and returns their results
// in the same order.
func (r *Runner) TryAll(ctx context.Context, checks []deployment.Check) []proto.CheckResult {
	results := make([]proto.CheckResult, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { results[i] = r.Try(ctx, c) })
	}
	all.Wait()
	return results
}

// Await tries c, for the first time after delay, until it has passed as often in
// a row as it must, or failed as often as it may, or ctx ends. It returns the
// result of the last try that came to its end; if none did, one without a time.
// It reports whether c is decided: no more tries would change the result.
func (r *Runner) Await(ctx context.Context, c deployment.Check, delay time.Duration) (last proto.CheckResult, decided bool) {
	last = proto.CheckResult{Name: c.Name, Required: c.Required, Message: "not tried yet"}
	passed, failed := 0, 0
	for wait := delay; pause(ctx, wait); wait = cmp.Or(c.Interval, DefaultInterval) {
		result := r.Try(ctx, c)
		if !result.Passed && ctx.Err() != nil {
			break // cut short: that says nothing
		}
		if last = result; result.Passed {
			passed, failed = passed+1, 0
		} else {
			passed, failed = 0, failed+1
		}
		if passed >= max(1, c.Successes) || c.Retries > 0 && failed >= c.Retries {
			return last, true
		}
	}
	if last.Passed {
		last.Passed, last.Message = false, fmt.Sprintf("passed %d times in a row, not %d", passed, c.Successes)
	}
	return last, false
}

// try returns why c does not pass; nil if it does.
func (r *Runner) try(ctx context.Context, c deployment.Check) error {
	switch {
	case c.HTTP != nil:
		return tryHTTP(ctx, *c.HTTP)
	case c.TCP != "":
		return tryTCP(ctx, c.TCP)
	case len(c.Exec) > 0:
		return r.tryExec(ctx, c)
	default:
		return r.tryUnit(ctx, c.Unit)
	}
}

// pause waits for d and reports whether ctx lasted.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
