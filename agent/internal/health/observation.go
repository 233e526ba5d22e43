package health

import (
	"context"
	"slices"
	"sync"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

// An observation is what one call of Judge has seen so far.
type observation struct {
	Judge
	p       deployment.Probation
	before  deployment.Baseline
	began   time.Time
	clock   time.Time           // what the clock showed then
	grace   time.Time           // when the grace period ends
	results []proto.CheckResult // of p.Checks, by the last tries; valid while none is under way

	agentBefore string        // invocation of the agent before its restart
	restarted   chan struct{} // closed when the restart job ended
	restartErr  error         // of that job; valid once restarted is closed

	asked    bool              // the agent was, to read once more
	spent    statefile.Contact // its receipt from before; valid once asked
	askErr   error             // what it answered last; likewise
	answered time.Time         // when it did, or was not waited for any longer; likewise

	// Restart counts at the beginning and in the middle of the grace period.
	first, middle map[string]uint32
}

// watch returns when the system may be good: the grace period is over, every
// check that counts has passed and contact was made; or when units or, for good,
// such a check have failed by the end of the grace period or later; or when ctx
// ends. It reports whether a check failed for good.
func (o *observation) watch(ctx context.Context) (checkFailed bool) {
	ctx, stop := context.WithCancel(ctx)
	var conditions sync.WaitGroup
	met := make(chan struct{})
	conditions.Go(func() { o.awaitContact(ctx) })
	failed := make(chan struct{})
	others := o.tryChecks(ctx, &conditions, sync.OnceFunc(func() { close(failed) }))
	go func() {
		conditions.Wait()
		close(met)
	}()
	o.await(ctx, met, failed)
	stop()
	<-met
	others.Wait()
	select {
	case <-failed:
		return true
	default:
		return false
	}
}

// await returns when watch may: the conditions are met, or a check has failed.
func (o *observation) await(ctx context.Context, met, failed <-chan struct{}) {
	if !o.awaitGrace(ctx) {
		return
	}
	select {
	case <-met:
		return // the last look looks at the units too
	default:
	}
	units, err := o.failing(ctx)
	if err != nil || len(o.failed(ctx, units)) > 0 {
		return
	}
	select {
	case <-met:
	case <-failed:
	case <-ctx.Done():
	}
}

// awaitGrace waits for the end of the grace period, and counts restarts at its
// beginning and in its middle. It reports whether that came before ctx's.
func (o *observation) awaitGrace(ctx context.Context) bool {
	left := time.Until(o.grace)
	if left <= 0 {
		return ctx.Err() == nil
	}
	if o.first == nil {
		middle := time.Now().Add(left / 2)
		o.first = o.countRestarts(ctx)
		if pause(ctx, time.Until(middle)) != nil {
			return false
		}
		o.middle = o.countRestarts(ctx)
	}
	return pause(ctx, time.Until(o.grace)) == nil
}

// countRestarts returns how often each service was restarted, as far as that
// can be told in time.
func (o *observation) countRestarts(ctx context.Context) map[string]uint32 {
	counts := make(map[string]uint32)
	units, err := answered(ctx, o.Units.Troubled)
	if err != nil {
		return counts
	}
	for _, u := range units {
		counts[u.Name] = u.NRestarts
	}
	return counts
}

// failing returns the units that may count against the system.
func (o *observation) failing(ctx context.Context) (systemd.Units, error) {
	return answered(ctx, func(ctx context.Context) (systemd.Units, error) {
		return o.Units.Failing(ctx, o.mayFlap()...)
	})
}

// answered asks for units until it gets an answer: systemd may be re-executing
// itself.
func answered(ctx context.Context, ask func(ctx context.Context) (systemd.Units, error)) (systemd.Units, error) {
	for {
		units, err := ask(ctx)
		if err == nil {
			return units, nil
		}
		if pause(ctx, retryPause) != nil {
			return nil, err
		}
	}
}

// failed returns the units that count against the system: those that failed and
// did not fail before, and those that keep failing and being restarted.
func (o *observation) failed(ctx context.Context, units systemd.Units) systemd.Units {
	var failed systemd.Units
	for _, u := range units {
		if slices.Contains(o.before.Failed, u.Name) || !Counts(u, o.p.IgnoreUnits) {
			continue
		}
		bad := Failing(u) || o.flaps(u) && o.mayFail(ctx, u)
		if u.Name == AgentUnit {
			// It has until the deadline to make contact: one that was killed and
			// starts again is well, one that cannot start is not.
			bad = u.ActiveState == systemd.Failed || Failing(u) && o.flaps(u)
		}
		if bad {
			failed = append(failed, u)
		}
	}
	return failed
}

// mayFail reports whether the service failed since the beginning of the grace
// period, as far as can be told: who cannot be seen to end well is not excused.
func (o *observation) mayFail(ctx context.Context, u systemd.Unit) bool {
	if lost := o.clockLost(); lost > clockSlack {
		o.Log.WarnContext(ctx, "the clock was set back, so that nobody can tell whether a restarting unit failed", "unit", u.Name, "by", lost)
		return true
	}
	failed, unknown := o.loggedFailure(ctx, u.Name, o.clock)
	return failed || unknown
}

// clockSlack is by how much the clock may be corrected. One that was set back by more
// may have what was logged since the beginning seem older than that.
const clockSlack = time.Second

// clockLost returns by how much less the clock went on since the beginning than the time
// did, which nobody sets; it is negative if it was set forward.
func (o *observation) clockLost() time.Duration {
	return time.Since(o.began) - o.now().Sub(o.clock)
}

// flaps reports whether the service, which may run right now, was restarted in
// both halves of the grace period, and did not do so before.
func (o *observation) flaps(u systemd.Unit) bool {
	return slices.Contains(o.mayFlap(), u.Name) && o.middle[u.Name] < u.NRestarts
}

// mayFlap returns the services that were restarted in the first half of the grace
// period, and did not keep being before.
func (o *observation) mayFlap() (names []string) {
	for name, restarts := range o.middle {
		if o.first[name] < restarts && !slices.Contains(o.before.Restarting, name) {
			names = append(names, name)
		}
	}
	return names
}
