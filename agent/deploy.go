package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// A fetch is the fetching of one deployment's closure.
type fetch struct {
	id      string
	cancel  context.CancelFunc
	done    chan struct{} // closed when it has ended
	stopped time.Time     // when it was to end before that
}

// lingers says that f, which may be nil, was stopped and has not ended; empty if nothing
// is to be said.
func (f *fetch) lingers() string {
	if f == nil {
		return ""
	}
	select {
	case <-f.done:
		return ""
	default:
		return f.String()
	}
}

// String says that f was stopped and has not ended.
func (f *fetch) String() string {
	return fmt.Sprintf("the fetch of deployment %s, which was to be stopped at %s, has not ended: something on this host does not answer (see the journal)",
		f.id, f.stopped.UTC().Format(time.RFC3339))
}

type fetchResult struct {
	id      string
	fetched Fetched
	err     error
}

// idLength is enough of a random text to tell the attempts of one host apart.
const idLength = 8

// begin makes the record of a new deployment, accepted, in the place of the one
// that was observed.
func (a *Agent) begin(o Observation, attempt int) error {
	order := *o.Order
	now := a.Now()
	d := deployment.Deployment{
		ID:                order.Assignment.Serial.String() + "-" + strings.ToLower(rand.Text()[:idLength]),
		Attempt:           attempt,
		Interrupted:       interruptions(o),
		Serial:            order.Assignment.Serial,
		Release:           order.Assignment.Release,
		Toplevel:          order.Release.Toplevel,
		Revision:          order.Release.Revision,
		Mode:              order.Assignment.Mode,
		From:              from(o),
		Back:              o.back(),
		Boots:             a.Config.Reboot.boots(),
		Proven:            o.Proven,
		Agent:             a.Identity.Executable,
		RollbackProbation: a.Config.Probation.probation(),
		ActivationTimeout: a.Config.Activation.Timeout,
		Started:           now,
	}
	d, err := o.after(d).Advance(deployment.Step{Phase: proto.PhaseAccepted, Time: now})
	if err != nil {
		return err
	}
	return a.edit(func(on deployment.Deployment) (deployment.Deployment, error) {
		if on.ID != o.Record.ID || on.Phase != o.Record.Phase {
			return on, errOvertaken
		}
		d.Leased = a.owesLease(on)
		return d, nil
	})
}

// from returns what runs in the place of the proven system, because it was only
// tried, or a way back failed.
func from(o Observation) proto.StorePath {
	if o.Systems.Toplevel() == o.Proven.Toplevel {
		return proto.StorePath{}
	}
	return o.Systems.Current
}

// interruptions counts the earlier attempts at o's order that were ended from
// outside.
func interruptions(o Observation) int {
	if !o.sameOrder() {
		return 0
	}
	n := o.Record.Interrupted
	if o.Record.EndedFromOutside() {
		n++
	}
	return n
}

// advance moves the record on, if it is still the deployment called id and no
// transaction has begun on it. What is armed can only be taken back.
func (a *Agent) advance(id string, s deployment.Step) error {
	return a.edit(func(d deployment.Deployment) (deployment.Deployment, error) {
		armed := d.Phase == proto.PhaseArmed && s.Phase != proto.PhaseRollingBack
		if d.ID != id || d.InTransaction() || d.Terminal() || armed {
			return d, errOvertaken
		}
		s.Time = a.Now()
		return d.Advance(s)
	})
}

// errOvertaken says that the record is not any more what somebody wanted to
// change: there is nothing to do but to look again.
var errOvertaken = errors.New("overtaken by events")

// edit replaces the record by what change makes of it. The lock keeps every
// transaction out from before the record is read until it is saved, so that
// nothing that one wrote is ever lost. It fails with [statefile.ErrLocked] if
// one runs. What was not reported of a deployment that is replaced by another is on
// the disk before.
func (a *Agent) edit(change func(d deployment.Deployment) (deployment.Deployment, error)) (err error) {
	lock, err := a.Files.LockTransaction()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	on, err := a.Files.Deployment()
	if err != nil {
		return err
	}
	d, err := change(on)
	if errors.Is(err, errOvertaken) {
		return nil
	}
	if err != nil {
		return err
	}
	if d.ID != on.ID {
		if err := a.letGo(on); err != nil {
			return fmt.Errorf("keep what deployment %s came to: %w", on.ID, err)
		}
	}
	if err := a.Files.Save(d); err != nil {
		return err
	}
	a.logStep(on, d)
	return nil
}

// logStep logs where d, which is in the place of on, is now.
func (a *Agent) logStep(on, d deployment.Deployment) {
	switch {
	case d.ID != on.ID:
		begins := []any{"deployment", d.ID, "attempt", d.Attempt, "phase", d.Phase, "toplevel", d.Toplevel}
		if !d.Revision.IsZero() {
			begins = append(begins, "revision", d.Revision.String())
		}
		a.Log.Info("deployment begins", append(begins, deployment.Why(d.Reason, d.Message)...)...)
	case d.Phase != on.Phase:
		s := d.History[len(d.History)-1]
		advanced := []any{"deployment", d.ID, "from", on.Phase, "to", d.Phase}
		a.Log.Info("deployment advanced", append(advanced, deployment.Why(s.Reason, s.Message)...)...)
	}
}

// startFetch fetches d's closure, unless that is under way. The result comes
// by a.fetched. It fails, once, if the last result could not be recorded.
func (a *Agent) startFetch(ctx context.Context, d deployment.Deployment, o proto.Order) error {
	if err := a.unrecorded; err != nil {
		a.unrecorded = nil
		return err
	}
	if a.fetch != nil && a.fetch.id == d.ID {
		return nil
	}
	a.stopFetch()
	ctx, cancel := context.WithCancel(ctx)
	f := &fetch{id: d.ID, cancel: cancel, done: make(chan struct{})}
	a.fetch = f
	before := a.heldUp
	order := closure.FetchOrder{
		Toplevel:    o.Release.Toplevel,
		Closure:     o.Release.Closure,
		Caches:      caches(o.Assignment.From(), a.Config.Caches),
		TrustedKeys: a.Config.Trust.CacheKeys,
	}
	go func() {
		defer close(f.done)
		got, err := a.fetchAfter(ctx, before, d, order)
		if ctx.Err() != nil {
			return // what was cut short has no result
		}
		select {
		case a.fetched <- fetchResult{id: d.ID, fetched: got, err: err}:
		case <-ctx.Done():
		}
	}()
	return nil
}

// fetchAfter is the work of one fetch, once before, if there is one, has ended: that is
// waited for for as long as a fetch may take from one cache.
func (a *Agent) fetchAfter(ctx context.Context, before *fetch, d deployment.Deployment, o closure.FetchOrder) (Fetched, error) {
	if before != nil {
		select {
		case <-before.done:
		case <-time.After(a.Config.Fetch.Timeout):
			return Fetched{}, fmt.Errorf("it waited for fetch.timeout, %s: %s", a.Config.Fetch.Timeout, before)
		case <-ctx.Done():
			return Fetched{}, ctx.Err()
		}
	}
	return a.fetchAfterHooks(ctx, d, o)
}

// caches returns both lists, one after the other, each cache once.
func caches(first, then []string) []string {
	var all []string
	for _, c := range slices.Concat(first, then) {
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// fetchPatience is how long the reconciler waits for a fetch that it stopped. As a rule
// that ends at once; a hook that does not want to may take longer.
const fetchPatience = 3 * time.Second

// stopFetch ends the fetch under way, if any, and waits for its end, but not for a disk
// that does not answer: nobody can end a read of a file. What is held up there has no
// result any more, and does not go on when it is let go, as its context has ended; the
// next fetch begins after it, as there is one at a time, or fails: see [Agent.fetchAfter].
func (a *Agent) stopFetch() {
	if a.fetch == nil {
		return
	}
	f := a.fetch
	a.fetch, f.stopped = nil, a.Now()
	f.cancel()
	select {
	case <-f.done:
	case <-time.After(fetchPatience):
		a.heldUp = f
		a.Log.Warn("a fetch that was stopped has not ended; the next one waits for it", "deployment", f.id)
	}
	select {
	case <-a.fetched: // of the fetch that was stopped
	default:
	}
}

// giveUpFetch lets go of what was fetched of a system that is not wanted any more.
func (a *Agent) giveUpFetch() error {
	if err := a.Fetcher.GiveUp(); err != nil {
		return fmt.Errorf("let go of what was fetched: %w", err)
	}
	return nil
}

// endFetch moves the record on with what a fetch came to. If that cannot be
// recorded, the fetch begins again, but after a pause: see [Agent.startFetch].
func (a *Agent) endFetch(r fetchResult) {
	a.fetch.cancel()
	<-a.fetch.done
	a.fetch = nil
	if err := a.keepFetched(r); err != nil {
		a.unrecorded = fmt.Errorf("record what was fetched for deployment %s: %w", r.id, err)
	}
}

func (a *Agent) keepFetched(r fetchResult) error {
	if r.err != nil {
		return a.advance(r.id, deployment.Step{Phase: proto.PhaseFailed, Reason: rejection(r.err), Message: r.err.Error()})
	}
	return a.edit(func(d deployment.Deployment) (deployment.Deployment, error) {
		if d.ID != r.id || d.Phase != proto.PhaseAccepted {
			return d, errOvertaken
		}
		way, err := a.Config.wayOf(d, r.fetched)
		if err != nil {
			return d.Advance(deployment.Step{Phase: proto.PhaseFailed, Reason: rejection(err), Message: err.Error(), Time: a.Now()})
		}
		d.Probation, d.Reboot, d.Inhibitors, d.Way = r.fetched.Probation, r.fetched.Reboot, r.fetched.Inhibitors, way
		d.Specialisation = r.fetched.Specialisation
		return d.Advance(deployment.Step{Phase: proto.PhaseFetched, Message: fetchedMessage(d), Time: a.Now()})
	})
}

// fetchedMessage says how d will be brought into effect, where that is not as
// usual, and what is special about it.
func fetchedMessage(d deployment.Deployment) string {
	var parts []string
	if name := d.Specialisation.Name; name != "" {
		parts = append(parts, "in specialisation "+name)
	}
	if left := d.Back.Name; left != "" && left != d.Specialisation.Name {
		parts = append(parts, "leaves specialisation "+left+", which activation.specialisation does not name")
	}
	if d.Way != deployment.WaySwitch {
		parts = append(parts, "by "+string(d.Way))
	}
	if len(d.Reboot) > 0 {
		parts = append(parts, rebootMessage(d.Reboot))
	}
	if len(d.Inhibitors) > 0 {
		parts = append(parts, inhibitedMessage(d.Inhibitors))
	}
	return strings.Join(parts, "; ")
}

func inhibitedMessage(inhibitors []string) string {
	return "changes what must not change in a running system: " + strings.Join(inhibitors, ", ")
}
