package agent

import (
	"context"
	"errors"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

const (
	// unsavedTries is how many failures in a row to save the record are waited for before
	// what is proven is brought back without it: two and a half minutes of pauses. It is
	// also how many there are between two tries of that.
	unsavedTries = 10
	// maxUnsaved is how often that is tried in one phase.
	maxUnsaved = 3
)

// An unsaved is what one process has tried about a record that it cannot save.
type unsaved struct {
	phase    proto.Phase
	failures int // to save it, in a row
	tries    int // to bring back what is proven; no more are made once it runs
}

// due counts err, of a try for d, and reports whether it is time to bring back what is
// proven without the record.
func (u *unsaved) due(d deployment.Deployment, err error) bool {
	if _, failed := errors.AsType[*transaction.SaveError](err); !failed {
		u.failures = 0
		return false
	}
	if u.phase != d.Phase {
		*u = unsaved{phase: d.Phase}
	}
	u.failures++
	return u.failures%unsavedTries == 0 && u.tries < maxUnsaved
}

// bringBack activates what is proven, if something else may run that is not, although the
// record cannot say so: the host would stay on that for as long as the disk is what it is.
// It returns stuck with that in it, which is told before anything is touched: a process
// after this one must not activate the new system again.
func (s settling) bringBack(ctx context.Context, d deployment.Deployment, stuck statefile.Stuck, u *unsaved) statefile.Stuck {
	log := s.options.Log.With("deployment", d.ID, "phase", d.Phase)
	astray, err := transaction.Astray(d, s.options)
	if err != nil {
		log.ErrorContext(ctx, "the record cannot be saved, and it is not known what runs", "err", err)
	}
	if err != nil || !astray {
		return stuck
	}
	u.tries++
	stuck.Undone = statefile.Undone{Deployment: d.ID, Message: stuck.Message}
	s.tell(ctx, stuck)
	log.WarnContext(ctx, "the record cannot be saved: what is proven is activated without it", "toplevel", d.BackTo(), "try", u.tries)
	if err := transaction.BringBack(ctx, d, s.options); err != nil {
		log.ErrorContext(ctx, "what is proven could not be brought back without the record", "err", err)
		return stuck
	}
	u.tries = maxUnsaved
	log.InfoContext(ctx, "what is proven runs, and the record is saved as soon as it can be", "toplevel", d.BackTo())
	return stuck
}

// undone returns what a process before this one has left to know: which deployment goes
// back whatever its record says, and why.
func (s settling) undone(ctx context.Context) statefile.Stuck {
	known, err := s.told.Stuck()
	if err != nil {
		s.options.Log.WarnContext(ctx, "it is not known whether a transaction before this one went back", "err", err)
	}
	return statefile.Stuck{Undone: known.Undone}
}

// optionsFor returns the options of a run over d.
func (s settling) optionsFor(d deployment.Deployment, undone statefile.Undone) transaction.Options {
	o := s.options
	if undone.Deployment == d.ID {
		o.Undone = "the record could not be saved, and what was proven was activated without it: " + undone.Message
	}
	return o
}
