package agent

import (
	"context"
	"errors"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/tidy"
	"kedge/proto"
)

// Pauses before what is left behind is tidied again: after somebody else was at
// work, and after a failure, doubling.
const (
	tidyBusyPause = 5 * time.Second
	tidyPause     = time.Minute
	tidyMaxPause  = time.Hour
)

// A Tidier removes from the host what a deployment that committed left behind.
// Its methods can be called again after whatever came of them.
type Tidier interface {
	// Prune deletes old generations and their boot entries, and says which. An
	// error that wraps [statefile.ErrLocked] or [activation.ErrBusy] says that
	// somebody else is at work.
	Prune(ctx context.Context, d deployment.Deployment) ([]proto.Generation, error)
	// Collect collects garbage if the store is low.
	Collect(ctx context.Context) error
	// Collected says what came of collections.
	Collected() tidy.Collected
}

// settled returns the deployment on whose system the host rests, once it has
// committed and its hooks have ended; zero if there is none.
func (o Observation) settled(d Decision, hooked bool) deployment.Deployment {
	r, s := o.Record, o.Systems
	if d.Action != ActionRest || !hooked || o.Suspended != nil || r.Phase != proto.PhaseCommitted ||
		r.Toplevel != o.Proven.Toplevel || r.Toplevel != s.Toplevel() || r.Toplevel != s.Profile {
		return deployment.Deployment{}
	}
	return r
}

// rest lets be tidied what d left behind, or nothing if d is zero.
func (a *Agent) rest(d deployment.Deployment) {
	if a.look().settled.ID != d.ID {
		a.change(func(v *view) { v.settled = d })
	}
}

// tidy removes what each deployment left behind, once the host rests on its
// system. What fails changes nothing else.
func (a *Agent) tidy(ctx context.Context) error {
	done := "" // ID of the last that was tidied
	for {
		v, changed := a.watch()
		if d := v.settled; d.ID != "" && d.ID != done {
			resting, stop := a.whileSettled(ctx, d)
			if a.tidyAfter(ctx, resting, d) {
				done = d.ID
			}
			stop()
			if ctx.Err() == nil {
				continue
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// whileSettled returns a context that ends when the host does not rest on d any
// more. Call stop when it is not needed any longer.
func (a *Agent) whileSettled(ctx context.Context, d deployment.Deployment) (resting context.Context, stop func()) {
	resting, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		for {
			v, changed := a.watch()
			if v.settled.ID != d.ID {
				return
			}
			select {
			case <-changed:
			case <-resting.Done():
				return
			}
		}
	}()
	return resting, func() {
		cancel()
		<-ended
	}
}

// tidyAfter removes what d left behind, and tries again as long as the host
// rests on d. It reports whether that is done.
func (a *Agent) tidyAfter(ctx, resting context.Context, d deployment.Deployment) (done bool) {
	for failures := 0; resting.Err() == nil; {
		err := a.tidyOnce(ctx, resting, d)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		again := tidyBusyPause
		if !busy(err) {
			failures++
			again = backoff(tidyPause, tidyMaxPause, failures)
			a.Log.WarnContext(ctx, "what a deployment left behind could not be tidied", "deployment", d.ID, "again", again, "err", err)
		}
		pause(resting, again)
	}
	return false
}

// tidyOnce deletes generations, which is seen to its end, and then collects
// garbage, which waits for the next commit if the host goes on to another
// deployment.
func (a *Agent) tidyOnce(ctx, resting context.Context, d deployment.Deployment) error {
	deleted, err := a.Tidier.Prune(ctx, d)
	if len(deleted) > 0 {
		a.Log.InfoContext(ctx, "old generations were deleted", "deployment", d.ID, "generations", deleted)
	}
	a.change(func(v *view) {
		v.pruned += float64(len(deleted))
		if err != nil && !busy(err) && ctx.Err() == nil {
			v.pruneFailures++
		}
	})
	if err != nil {
		return err
	}
	if err := a.Tidier.Collect(resting); err != nil && resting.Err() == nil {
		return err
	}
	return nil
}

// busy reports whether err says that somebody else is at work.
func busy(err error) bool {
	return errors.Is(err, statefile.ErrLocked) || errors.Is(err, activation.ErrBusy)
}
