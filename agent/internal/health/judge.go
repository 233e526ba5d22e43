package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"kedge/agent/internal/check"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

// AgentUnit is the agent's unit, in every toplevel.
const AgentUnit = "kedge-agent.service"

const (
	// retryPause is between two questions where asking again is the only way.
	retryPause = 100 * time.Millisecond
	// lookTimeout bounds the last look, which may come after the deadline.
	lookTimeout = 10 * time.Second
)

// Units is systemd; *systemd.Client is it.
type Units interface {
	// Troubled returns the units that have failed, wait to be started again, or
	// were restarted, with details.
	Troubled(ctx context.Context) (systemd.Units, error)
	// Failing is Troubled for one to whom restarts matter of those services alone.
	Failing(ctx context.Context, restarting ...string) (systemd.Units, error)
	// Unit returns one unit, with its invocation.
	Unit(ctx context.Context, name string) (systemd.Unit, error)
	// RestartUnit returns when the unit has started, or could not; the latter is
	// a *systemd.JobError.
	RestartUnit(ctx context.Context, name string) error
	// Journal returns the last lines about a unit.
	Journal(ctx context.Context, q systemd.JournalQuery) ([]string, error)
}

// Receipts is where agents leave word of their contact; statefile.Dir is it.
type Receipts interface {
	// Contact returns the last receipt; zero if there is none.
	Contact() (statefile.Contact, error)
	// WatchContact returns a channel with a value after each change, until ctx
	// ends.
	WatchContact(ctx context.Context) (<-chan struct{}, error)
}

// An Agent is the one that runs on this host; control.Client asks it.
type Agent interface {
	// Reconcile returns when the agent has read its desired state anew, and left a
	// receipt, or why it could not.
	Reconcile(ctx context.Context) error
}

// A Judge judges the running system.
type Judge struct {
	Units    Units         // required
	Receipts Receipts      // required
	Agent    Agent         // required
	Checks   *check.Runner // required
	BootID   string        // of the running boot, required
	Log      *slog.Logger  // required
	// Now is the clock, which somebody may set meanwhile; nil means time.Now.
	Now func() time.Time
}

// Judge restarts the agent and observes the system until it is decided:
//
//   - at the end of the grace period, if units have failed by then, or keep
//     failing and being restarted, that did not before;
//   - at the end of the grace period or later, as soon as a check that counts has
//     failed as often as it may;
//   - as soon as the grace period is over, every check that counts passed, and the
//     restarted agent made contact, by a last look at all of it, for which the agent
//     makes contact once more: while it cannot, that is waited for;
//   - at the deadline, p's or ctx's, whichever is first.
//
// It does not fail for what it observes. The error is for when nothing could be
// observed, or ctx was cancelled; then it is ctx's cause.
func (j Judge) Judge(ctx context.Context, p deployment.Probation, before deployment.Baseline) (Judgement, error) {
	bounded, stop := context.WithTimeout(ctx, p.Deadline)
	defer stop()
	began := time.Now()
	o := &observation{
		Judge: j, p: p, before: before, began: began, clock: j.now(), grace: began.Add(p.Grace),
		restarted: make(chan struct{}), results: make([]proto.CheckResult, len(p.Checks)),
	}
	// In this order at the end: stop, then wait.
	var restart sync.WaitGroup
	defer restart.Wait()
	defer stop()
	if o.noteAgent(bounded) == nil {
		restart.Go(func() { o.restart(bounded) })
	}
	for {
		decided := o.watch(bounded)
		if cancelled(ctx) {
			return Judgement{}, fmt.Errorf("judge the system: %w", context.Cause(ctx))
		}
		decided = decided || bounded.Err() != nil
		judgement, err := o.lastLook(ctx)
		if cancelled(ctx) {
			return Judgement{}, fmt.Errorf("judge the system: %w", context.Cause(ctx))
		}
		if err != nil {
			return Judgement{}, fmt.Errorf("judge the system: %w", err)
		}
		if judgement.Good || decided || len(judgement.Failed) > 0 {
			return judgement, nil
		}
		// Something changed back between two looks.
		_ = pause(bounded, retryPause) // at the deadline the next look decides
	}
}

// now returns what the clock shows, without a reading of the monotonic one: two of these
// differ by what it was set by, too.
func (j Judge) now() time.Time {
	if j.Now == nil {
		return time.Now().Round(0)
	}
	return j.Now().Round(0)
}

// cancelled reports whether somebody ended ctx, and not its deadline.
func cancelled(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// lastLook looks once more at everything, even if ctx's deadline has passed.
func (o *observation) lastLook(ctx context.Context) (Judgement, error) {
	beyond := context.WithoutCancel(ctx)
	o.tryAgain(beyond) // each has a timeout of its own
	look, cancel := context.WithTimeout(beyond, lookTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if cancelled(ctx) {
			cancel()
		}
	})()
	return o.look(look)
}

// pause waits, or returns ctx's cause when it ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
