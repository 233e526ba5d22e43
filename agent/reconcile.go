package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
	"kedge/proto/bus"
)

// Intervals of the reconciler.
const (
	pollInterval  = 15 * time.Minute // give or take 20 %: for bells that were lost
	readRetry     = 5 * time.Second  // after a desired state that could not be read
	guardInterval = 10 * time.Second // between two looks at a transaction's unit
	maxActions    = 8                // in a row; more would be a loop
)

// reconcile observes, decides and acts whenever there is a reason to.
func (a *Agent) reconcile(ctx context.Context) error {
	changed, err := a.Files.Watch(ctx, statefile.DeploymentFile)
	if err != nil {
		return fmt.Errorf("watch the record: %w", err)
	}
	defer a.stopFetch()
	poll := time.NewTimer(jitter(pollInterval))
	defer poll.Stop()
	again := time.NewTimer(0) // settle what the disk says is unfinished, before anything else
	defer again.Stop()
	stale := true // the desired state is to be read
	for {
		rung := false
		select {
		case <-ctx.Done():
			return nil
		case <-a.Bus.Doorbell():
			stale, rung = true, true
		case <-poll.C:
			stale = true
		case <-changed:
		case r := <-a.fetched:
			a.endFetch(ctx, r)
		case <-again.C:
		}
		at := time.Time{}
		if stale {
			poll.Reset(jitter(pollInterval))
			err := a.readDesired(ctx)
			if stale = err != nil; stale {
				a.Log.DebugContext(ctx, "desired state could not be read", "err", err)
				at = a.Now().Add(jitter(readRetry))
			}
		}
		if next := a.act(ctx, rung); !next.IsZero() && (at.IsZero() || next.Before(at)) {
			at = next
		}
		if !at.IsZero() {
			again.Reset(max(0, at.Sub(a.Now())))
		}
	}
}

// readDesired reads and verifies the desired state, and leaves the receipt
// that a transaction in probation waits for. It fails if there was no contact;
// a state that was read and refused is contact without acceptance.
func (a *Agent) readDesired(ctx context.Context) error {
	raw, err := a.Bus.Desired(ctx)
	if errors.Is(err, bus.ErrNoDesired) {
		a.change(func(v *view) { v.desired, v.order, v.refusal = nil, nil, nil })
		return a.leaveReceipt(statefile.Contact{Reason: proto.ReasonNoDesired})
	}
	if err != nil {
		return err
	}
	d, err := proto.ParseDesired(raw.Data)
	if err != nil {
		return a.refuse(ctx, proto.RefusalOf(err))
	}
	order, err := a.verify(d)
	if err != nil {
		if r, ok := errors.AsType[*proto.RefusalError](err); ok {
			return a.refuse(ctx, r)
		}
		return err
	}
	a.change(func(v *view) { v.desired, v.order, v.refusal, v.contact = &d, &order, nil, a.Now() })
	return a.leaveReceipt(statefile.Contact{Accepted: true, Serial: order.Assignment.Serial})
}

// verify decides whether d may be acted on now, and remembers, durably, what
// it then must not fall behind.
func (a *Agent) verify(d proto.Desired) (proto.Order, error) {
	floor, err := a.Files.Floor()
	if err != nil {
		return proto.Order{}, &proto.RefusalError{Reason: proto.ReasonStateUnreadable, Err: err}
	}
	order, err := d.Verify(a.Config.Trust.trust(), a.Config.Host, floor, a.Now())
	if err != nil {
		return proto.Order{}, err
	}
	if !order.Floor.Equal(floor) {
		if err := a.Files.SaveFloor(order.Floor); err != nil {
			return proto.Order{}, fmt.Errorf("remember what was accepted: %w", err)
		}
	}
	return order, nil
}

// refuse makes nothing of a desired state but a report.
func (a *Agent) refuse(ctx context.Context, r *proto.RefusalError) error {
	before := a.look().refusal
	a.change(func(v *view) {
		v.order, v.refusal = nil, r
		v.refusals[r.Reason]++
	})
	if before == nil || before.Error() != r.Error() {
		a.Log.WarnContext(ctx, "desired state refused", "reason", r.Reason, "err", r.Err)
		if err := a.note(proto.Event{Reason: r.Reason, Message: "desired state refused: " + r.Error()}); err != nil {
			a.Log.ErrorContext(ctx, "event lost", "err", err)
		}
	}
	return a.leaveReceipt(statefile.Contact{Reason: r.Reason})
}

func (a *Agent) leaveReceipt(c statefile.Contact) error {
	c.InvocationID, c.BootID = a.Identity.InvocationID, a.Identity.BootID
	c.PID, c.Version, c.At = os.Getpid(), a.Identity.Version, a.Now()
	if err := a.Files.SaveContact(c); err != nil {
		return fmt.Errorf("leave a receipt of the contact: %w", err)
	}
	return nil
}

// act decides and acts until there is nothing more to do now. It returns when
// to decide again even if nothing happens; zero for never.
func (a *Agent) act(ctx context.Context, rung bool) time.Time {
	for range maxActions {
		o, err := a.observe()
		a.change(func(v *view) { v.stateErr = err })
		if err != nil {
			a.Log.ErrorContext(ctx, "the host cannot be observed; it is left as it is", "err", err)
			return a.Now().Add(pollInterval)
		}
		o.Rung = rung
		d := Decide(o)
		a.decided(ctx, d)
		again, err := a.do(ctx, d, o)
		if ctx.Err() != nil {
			return time.Time{} // asked to leave, in the middle of something that is repeated
		}
		if err != nil {
			a.Log.ErrorContext(ctx, "action failed and is tried again", "action", d.Action, "err", err)
			return a.Now().Add(readRetry)
		}
		if !again {
			if d.Action == ActionSettle {
				return a.Now().Add(guardInterval)
			}
			return d.Again
		}
		rung = false
	}
	a.Log.ErrorContext(ctx, "the agent went round in a circle and pauses", "actions", maxActions)
	return a.Now().Add(pollInterval)
}

func (a *Agent) decided(ctx context.Context, d Decision) {
	before := a.look().decision
	if before.Action == d.Action && before.Reason == d.Reason && before.Message == d.Message {
		return
	}
	a.change(func(v *view) { v.decision, v.since = d, a.Now() })
	a.Log.InfoContext(ctx, "decided", "action", d.Action, "reason", d.Reason, "detail", d.Message)
}

// observe reads everything that Decide wants to know.
func (a *Agent) observe() (Observation, error) {
	v := a.look()
	o := Observation{Order: v.order, Refusal: v.refusal, Now: a.Now()}
	var err error
	if o.Record, err = a.Files.Deployment(); err != nil {
		return o, err
	}
	if o.Proven, err = a.Files.Proven(); err != nil {
		return o, err
	}
	if o.Systems, err = a.Systems.Systems(); err != nil {
		return o, err
	}
	if o.Order != nil {
		q, found, err := a.Files.Quarantined(o.Order.Release.Toplevel, o.Now)
		if err != nil {
			return o, err
		}
		if found {
			o.Quarantined = q.Reason
		}
	}
	return o, a.reportSteps(o.Record)
}

// do carries out a decision. It reports whether to decide again at once.
func (a *Agent) do(ctx context.Context, d Decision, o Observation) (again bool, err error) {
	switch d.Action {
	case ActionRest:
		return false, nil
	case ActionAdopt:
		p := deployment.Proven{Toplevel: o.Systems.Current, Generation: o.Systems.Generation, Adopted: true, Since: o.Now}
		if err := a.Systems.Adopt(p); err != nil {
			return false, fmt.Errorf("adopt the running system: %w", err)
		}
		return true, a.note(proto.Event{
			Toplevel: p.Toplevel, Reason: proto.ReasonAdopted,
			Message: "the running system is registered, and was taken as proven",
		})
	case ActionSupersede:
		a.stopFetch()
		return true, a.advance(o.Record.ID, deployment.Step{
			Phase: proto.PhaseSuperseded, Reason: d.Reason,
			Message: fmt.Sprintf("assignment %d overtook it", o.Order.Assignment.Serial),
		})
	case ActionDeploy:
		return true, a.begin(o, d.Attempt)
	case ActionFetch:
		a.startFetch(ctx, o.Record, *o.Order)
		return false, nil
	case ActionSettle:
		return a.settle(ctx, o.Record)
	}
	return false, fmt.Errorf("unknown action %q", d.Action)
}

// settle sees to it that the transaction runs. What has not begun is verified
// once more.
func (a *Agent) settle(ctx context.Context, r deployment.Deployment) (again bool, err error) {
	if r.Phase == proto.PhaseFetched {
		if _, err := a.verify(*a.look().desired); err != nil {
			a.change(func(v *view) { v.order = nil })
			reason := proto.ReasonMalformed
			if rf, ok := errors.AsType[*proto.RefusalError](err); ok {
				reason = rf.Reason
			}
			return true, a.advance(r.ID, deployment.Step{Phase: proto.PhaseFailed, Reason: reason, Message: err.Error()})
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
