package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// A fetch is the fetching of one deployment's closure.
type fetch struct {
	id     string
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
}

type fetchResult struct {
	id        string
	probation deployment.Probation
	err       error
}

// idLength is enough of a random text to tell the attempts of one host apart.
const idLength = 8

// begin makes the record of a new deployment: accepted.
func (a *Agent) begin(o Observation, attempt int) error {
	order := *o.Order
	now := a.Now()
	d, err := deployment.Deployment{
		ID:                order.Assignment.Serial.String() + "-" + strings.ToLower(rand.Text()[:idLength]),
		Attempt:           attempt,
		Serial:            order.Assignment.Serial,
		Release:           order.Assignment.Release,
		Toplevel:          order.Release.Toplevel,
		Revision:          order.Release.Revision,
		Proven:            o.Proven,
		Agent:             a.Identity.Executable,
		RollbackProbation: a.Config.Probation.probation(),
		ActivationTimeout: a.Config.Activation.Timeout,
		Started:           now,
	}.Advance(deployment.Step{Phase: proto.PhaseAccepted, Time: now})
	if err != nil {
		return err
	}
	return a.saveUntouched(d)
}

// advance moves the record on, if it is still the deployment called id and no
// transaction has begun on it.
func (a *Agent) advance(id string, s deployment.Step) error {
	d, err := a.Files.Deployment()
	if err != nil {
		return err
	}
	if d.ID != id || d.InTransaction() || d.Terminal() {
		return nil // overtaken by events
	}
	s.Time = a.Now()
	if d, err = d.Advance(s); err != nil {
		return err
	}
	return a.saveUntouched(d)
}

// saveUntouched saves a record that no transaction has begun on. The lock
// keeps out one that is about to.
func (a *Agent) saveUntouched(d deployment.Deployment) error {
	lock, err := a.Files.LockTransaction()
	if err != nil {
		return fmt.Errorf("save deployment %s: %w", d.ID, err)
	}
	return errors.Join(a.Files.Save(d), lock.Unlock())
}

// startFetch fetches d's closure, unless that is under way. The result comes
// by a.fetched.
func (a *Agent) startFetch(ctx context.Context, d deployment.Deployment, o proto.Order) {
	if a.fetch != nil && a.fetch.id == d.ID {
		return
	}
	a.stopFetch()
	ctx, cancel := context.WithCancel(ctx)
	f := &fetch{id: d.ID, cancel: cancel, done: make(chan struct{})}
	a.fetch = f
	order := closure.FetchOrder{
		Toplevel:    o.Release.Toplevel,
		Closure:     o.Release.Closure,
		Caches:      append(slices.Clone(o.Assignment.Caches), a.Config.Caches...),
		TrustedKeys: a.Config.Trust.CacheKeys,
	}
	go func() {
		defer close(f.done)
		p, err := a.Fetcher.Fetch(ctx, order)
		select {
		case a.fetched <- fetchResult{id: d.ID, probation: p, err: err}:
		case <-ctx.Done():
		}
	}()
}

// stopFetch ends the fetch under way, if any, and waits for its end.
func (a *Agent) stopFetch() {
	if a.fetch == nil {
		return
	}
	a.fetch.cancel()
	<-a.fetch.done
	a.fetch = nil
	select {
	case <-a.fetched: // of the fetch that was stopped
	default:
	}
}

// endFetch moves the record on with what a fetch came to.
func (a *Agent) endFetch(ctx context.Context, r fetchResult) {
	a.fetch.cancel()
	<-a.fetch.done
	a.fetch = nil
	if err := a.keepFetched(r); err != nil {
		a.Log.ErrorContext(ctx, "a fetched closure could not be recorded; it is fetched again", "deployment", r.id, "err", err)
	}
}

func (a *Agent) keepFetched(r fetchResult) error {
	if r.err != nil {
		return a.advance(r.id, deployment.Step{Phase: proto.PhaseFailed, Reason: rejection(r.err), Message: r.err.Error()})
	}
	d, err := a.Files.Deployment()
	if err != nil || d.ID != r.id {
		return err
	}
	d.Probation = r.probation
	if d, err = d.Advance(deployment.Step{Phase: proto.PhaseFetched, Time: a.Now()}); err != nil {
		return err
	}
	return a.saveUntouched(d)
}
