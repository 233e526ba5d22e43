package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// Intervals of the reconciler.
const (
	pollInterval  = 15 * time.Minute // give or take 20 %: for bells that were lost
	lookInterval  = time.Minute      // give or take 20 %: for what people do to the host, which nobody tells
	readRetry     = 5 * time.Second  // after something that could not be read
	guardInterval = 10 * time.Second // between two looks at a transaction's unit
	maxActions    = 8                // in a row; more would be a loop
)

// reconcile follows the host and its record until ctx ends.
func (a *Agent) reconcile(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Another program may have all that the kernel has for watching. That is no reason not
	// to settle what is unfinished: it is looked at every so often in any case.
	changed, err := a.Files.Watch(ctx, statefile.DeploymentFile)
	a.tell(ctx, slog.LevelWarn, "the record cannot be watched, and is looked at every now and then only", err)
	vetoes, err := a.Files.WatchVetoes(ctx)
	a.tell(ctx, slog.LevelWarn, "vetoes are looked at every minute only", err)
	err = a.follow(ctx, changed, vetoes)
	cancel()
	for _, watched := range []<-chan struct{}{changed, vetoes} {
		for watched != nil { // until the watch has ended
			if _, open := <-watched; !open {
				watched = nil
			}
		}
	}
	return err
}

// follow observes, decides and acts whenever there is a reason to. It returns
// when ctx ends, when changed, which tells of changes of the record, is closed, or with
// [errOutdated].
// Vetoes are looked at every now and then in any case.
func (a *Agent) follow(ctx context.Context, changed, vetoes <-chan struct{}) error {
	defer a.stopFetch()
	defer a.stopHooks()
	a.begun = a.Now()
	a.act(ctx, false) // settle what the disk says is unfinished, before anything else
	poll := time.NewTimer(jitter(pollInterval))
	defer poll.Stop()
	look := time.NewTicker(jitter(lookInterval))
	defer look.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	stale := true // the desired state is to be read
	for {
		rung, bell, looked := false, false, false
		var asked ask
		var undone error
		select {
		case <-ctx.Done():
			return nil
		case <-a.Bus.Doorbell():
			stale, bell = true, a.asked()
			rung = bell
		case <-poll.C:
			stale = true
		case <-look.C:
			a.inhibitorsKnown, looked = false, true
		case _, open := <-changed:
			if !open && ctx.Err() == nil {
				return errors.New("watch the record: the state directory was removed")
			}
			if open && a.knowsRecord() {
				continue
			}
		case _, open := <-vetoes:
			if !open {
				vetoes = nil
			}
		case q := <-a.asks:
			asked, rung, stale = q, true, stale || q.read
			if q.do != nil {
				undone = q.do(ctx)
			}
		case r := <-a.fetched:
			a.endFetch(r)
		case r := <-a.hooked:
			a.endHooks(ctx, r)
		case <-again.C:
		}
		at := time.Time{}
		var err error
		if stale {
			poll.Reset(jitter(pollInterval))
			before := a.look().order
			err = a.readDesired(ctx)
			if bell && renewed(before, a.look().order) {
				rung = false
			}
			if stale = err != nil; stale {
				at = a.Now().Add(jitter(readRetry))
			} else {
				a.heard = a.Now()
			}
			a.tell(ctx, readLevel(err), "desired state could not be read and is asked for again", err)
		}
		if next := a.act(ctx, rung); !next.IsZero() && (at.IsZero() || next.Before(at)) {
			at = next
		}
		if !at.IsZero() {
			again.Reset(max(0, at.Sub(a.Now())))
		}
		if asked.answer != nil {
			if asked.read {
				undone = err
			}
			asked.answer <- undone // buffered
		}
		if looked && a.outdated(ctx) {
			return errOutdated
		}
	}
}

// knowsRecord reports whether the record is as it was when the host was last
// observed: what changed then was the agent's own doing.
func (a *Agent) knowsRecord() bool {
	r, err := a.Files.Deployment()
	return err == nil && reflect.DeepEqual(r, a.record)
}

// act decides and acts until there is nothing more to do now. It returns when
// to decide again even if nothing happens; zero for never.
func (a *Agent) act(ctx context.Context, rung bool) time.Time {
	a.tell(ctx, slog.LevelError, "what was desired has expired and cannot be verified again", a.lapse(ctx))
	who := func() vetoes { return a.askInhibitors(ctx) }
	inhibitors := sync.OnceValue(who)
	for range maxActions {
		o, err := a.observe(ctx, inhibitors)
		a.change(func(v *view) { v.stateErr = err })
		a.tell(ctx, slog.LevelError, "the host cannot be observed; it is left as it is", err)
		if err != nil {
			a.blind++
			return a.Now().Add(backoff(readRetry, lookInterval, a.blind))
		}
		a.blind = 0
		o.Rung = rung || a.rung
		d := Decide(o)
		a.rung = o.Rung && d.Reason == proto.ReasonRetrying
		a.decided(ctx, d, o)
		again, err := a.do(ctx, d, o)
		if ctx.Err() != nil {
			return time.Time{} // asked to leave, in the middle of something that is repeated
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", d.Action, err)
		}
		a.tell(ctx, actionLevel(err), "action failed and is tried again", err)
		if err != nil {
			return a.Now().Add(readRetry)
		}
		if !again {
			if d.Action == ActionSettle {
				return a.Now().Add(guardInterval)
			}
			return d.Again
		}
		rung = false
		if d.Action == ActionLease {
			inhibitors = sync.OnceValue(who) // the answer may have taken its time
		}
	}
	a.Log.ErrorContext(ctx, "the agent went round in a circle and pauses", "actions", maxActions)
	return a.Now().Add(pollInterval)
}

// actionLevel is how loud an action that failed is. That a transaction, which
// has only just begun, keeps the agent from its record is as it should be.
func actionLevel(err error) slog.Level {
	if errors.Is(err, statefile.ErrLocked) {
		return slog.LevelDebug
	}
	return slog.LevelError
}

// decided shows what was decided on what was observed.
func (a *Agent) decided(ctx context.Context, d Decision, o Observation) {
	var on proto.Serial
	if o.Order != nil {
		on = o.Order.Assignment.Serial
	}
	before := a.look()
	same := before.decision.Action == d.Action && before.decision.Reason == d.Reason && before.decision.Message == d.Message
	if same && before.decidedOn == on {
		return
	}
	a.change(func(v *view) {
		v.decidedOn = on
		if !same {
			v.decision, v.since = d, a.Now()
		}
	})
	if same {
		return
	}
	level := slog.LevelInfo
	if d.Reason == proto.ReasonDeploying {
		level = slog.LevelDebug // the deployment's own steps are told
	}
	a.Log.Log(ctx, level, "decided", append([]any{"action", d.Action}, deployment.Why(d.Reason, d.Message)...)...)
}

// observe reads everything that Decide wants to know, and hands what is new in
// the record to the outbox. Of a deployment that its transaction has to settle
// nothing but the record matters: then no other file, and no event that cannot
// be written, keeps the host from being settled.
func (a *Agent) observe(ctx context.Context, inhibitors func() vetoes) (Observation, error) {
	v, now := a.look(), a.Now()
	o := Observation{
		Order: v.order, Refusal: v.refusal, Now: now, BootID: a.Identity.BootID,
		InhibitMax: a.Config.Inhibit.Max, ConfirmAfter: a.Config.Policy.ConfirmAfter, Opens: a.Config.Reboot.opens(now),
		Verifying: v.verifying, Barred: a.Keeper.State(), HeldUp: a.heldUp.lingers(),
	}
	var err error
	if o.Record, err = a.Files.Deployment(); err != nil {
		return o, err
	}
	a.record = o.Record
	if o.Record.Phase == proto.PhaseStaged {
		o.Due = a.Config.Reboot.opens(o.Record.Since)
	}
	err = a.reportSteps(o.Record)
	if o.Record.InTransaction() {
		a.tell(ctx, slog.LevelWarn, "steps of the deployment cannot be reported yet", err)
		return o, nil
	}
	if err != nil {
		return o, err
	}
	if err = a.beginAnew(a.followed.read()); err != nil {
		return o, err
	}
	a.remember(ctx, o.Record)
	o.Lease = a.leaseState(o.Record)
	o.Withdrawn = !o.Record.Terminal() && a.withdrawn(o.Record)
	all := a.whoInhibits(o.Record, inhibitors).with(a.Files.Vetoes())
	o.Vetoes, o.RebootVetoes = all.live, all.reboot
	o.Confirmed, o.RebootConfirmed = a.confirmed(ctx, o.Record)
	o.Confirmed = o.Confirmed || o.Record.ByHand()
	o.Suspended, err = suspension(a.Files, o.Now)
	a.tell(ctx, slog.LevelError, "the suspension cannot be read; nothing is begun", err)
	if o.Proven, err = a.Files.Proven(); err != nil {
		return o, err
	}
	if o.Systems, err = a.Systems.Systems(); err != nil {
		return o, err
	}
	a.observeSpecialisation(ctx, &o)
	a.observeDrift(ctx, &o)
	a.observeSilence(ctx, &o)
	if o.Order != nil {
		system := o.Order.Release.Toplevel
		if system == o.Proven.Toplevel { // of which one specialisation may be bad
			system = o.Shall.Of(system)
		}
		if o.Quarantine, _, err = a.Files.Quarantined(system, o.Now); err != nil {
			return o, err
		}
	}
	return o, nil
}

// do carries out a decision. It reports whether to decide again at once.
func (a *Agent) do(ctx context.Context, d Decision, o Observation) (again bool, err error) {
	if o.idle(d) {
		a.tell(ctx, slog.LevelWarn, "the reboot lease is kept for now", a.giveBack(ctx, o.Record))
	}
	waits, err := a.owesHooks(ctx, o, d)
	if err != nil {
		return false, fmt.Errorf("run the hooks that follow deployment %s: %w", o.Record.ID, err)
	}
	a.rest(o.settled(d, !waits))
	switch d.Action {
	case ActionRest:
		if o.Suspended != nil {
			a.stopFetch()
		}
		if d.Reason == proto.ReasonConverged {
			return false, a.giveUpFetch()
		}
		return false, nil
	case ActionAdopt:
		p := deployment.Proven{Toplevel: o.Systems.Toplevel(), Generation: o.Systems.Generation, Adopted: true, Since: o.Now, Previous: o.Proven.Before()}
		if err := a.Systems.Adopt(p); err != nil {
			return false, fmt.Errorf("adopt the running system: %w", err)
		}
		return true, a.note(proto.Event{
			Toplevel: p.Toplevel, Reason: proto.ReasonAdopted,
			Message: "the running system is registered, and was taken as proven",
		})
	case ActionSupersede:
		a.stopFetch()
		a.stopHooks()
		return true, a.advance(o.Record.ID, deployment.Step{
			Phase: proto.PhaseSuperseded, Reason: d.Reason,
			Message: d.Message,
		})
	case ActionWithdraw:
		return true, a.endWithdrawn(o)
	case ActionDeploy:
		if waits {
			return false, nil // their end wakes the reconciler
		}
		return true, a.begin(o, d.Attempt)
	case ActionRestore:
		if waits {
			return false, nil // their end wakes the reconciler
		}
		return true, a.restore(ctx, o, d)
	case ActionResort:
		if waits {
			return false, nil // their end wakes the reconciler
		}
		return false, a.resort(ctx, o.Record)
	case ActionFetch:
		return false, a.startFetch(ctx, o.Record, *o.Order)
	case ActionLease:
		return a.askLease(ctx, o.Record)
	case ActionArm:
		if waits {
			return false, nil // their end wakes the reconciler
		}
		if o.Record.Way == deployment.WayReboot {
			if err := a.override(o, o.RebootVetoes); err != nil {
				return false, err
			}
		}
		return a.arm(ctx, o.Record)
	case ActionAbandon:
		return a.abandon(o.Record, d)
	case ActionSettle:
		if o.Record.Way == deployment.WayHold {
			return true, a.release(o.Record)
		}
		if o.Record.Fetched() {
			if err := a.override(o, o.Vetoes); err != nil {
				return false, err
			}
		}
		return a.settle(ctx, o.Record)
	}
	return false, fmt.Errorf("unknown action %q", d.Action)
}

// settle sees to it that the transaction runs. What was ordered and has not begun
// is verified once more. Nobody is asked before what was proven is brought back.
func (a *Agent) settle(ctx context.Context, r deployment.Deployment) (again bool, err error) {
	if r.Ordered() && r.Phase == proto.PhaseFetched {
		if refused, err := a.verifyAgain(ctx, r); refused || err != nil {
			return refused, err
		}
	}
	if !r.Restore && r.Phase == proto.PhaseFetched {
		if waits, err := a.beforeActivation(ctx, r); waits || err != nil {
			return false, err
		}
	}
	if err := a.Guard.Ensure(ctx, r); err != nil {
		return false, fmt.Errorf("run the transaction of deployment %s: %w", r.ID, err)
	}
	return false, nil
}

// jitter returns d, give or take 20 per cent at random.
func jitter(d time.Duration) time.Duration {
	return d*8/10 + rand.N(d*4/10) //nolint:gosec // spreads load; nothing secret
}
