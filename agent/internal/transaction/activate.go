package transaction

import (
	"context"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// An effort is the activation of one system, over all runs of a transaction.
type effort struct {
	system proto.StorePath
	// count is where the record counts the activations that were begun, and most
	// is how many there may be.
	count func(d *deployment.Deployment) *int
	most  int
	// decided means that there is no way but this one: pre-switch checks are not
	// asked, and whatever is wrong is tried again.
	decided bool
	// unrecorded means that the record cannot be saved, and is left as it is.
	unrecorded bool
}

// bring activates a system, and says what came of the last try. If one may be
// continued, it is tried again, a few times, as long as nobody else changes the
// system. Somebody else's switch is waited for, and is no try of ours.
//
// That the system is active is durable with whatever is saved next.
func (t *transaction) bring(ctx context.Context, e effort) (activation.Result, error) {
	patience := t.Now().Add(busyPatience)
	last := activation.Result{Effect: activation.Partial, Message: "it was killed before it said anything"}
	for n := 1; n <= maxTries && *e.count(&t.d) < e.most; n++ {
		if _, err := t.look(t.ours); err != nil {
			return activation.Result{}, err
		}
		before := t.d
		if err := t.begun(e); err != nil {
			return activation.Result{}, err
		}
		var err error
		if last, err = t.run(ctx, e.system, e.decided); err != nil {
			return activation.Result{}, err
		}
		patient := last.Effect == activation.Busy && t.Now().Before(patience)
		switch {
		case last.Effect == activation.Active:
			t.d.Activated = e.system
			return last, nil
		case patient:
			if err := t.keep(e, before); err != nil { // nothing was begun
				return activation.Result{}, err
			}
			n--
		case !e.decided && last.Effect != activation.Partial:
			return last, nil
		}
		t.Log.WarnContext(ctx, "not activated yet", "deployment", t.d.ID, "system", e.system,
			"begun", *e.count(&t.d), "effect", last.Effect, "detail", last.Message)
		if err := t.Wait(ctx, retryPause); err != nil {
			return activation.Result{}, err
		}
	}
	return last, nil
}

// begun makes durable that an activation begins.
func (t *transaction) begun(e effort) error {
	boot, err := t.Host.BootID()
	if err != nil {
		return err
	}
	d := t.d
	d.BootID, d.Activated = boot, proto.StorePath{}
	*e.count(&d)++
	return t.keep(e, d)
}

// keep saves what e makes of the record; or only remembers it, if e is not recorded.
func (t *transaction) keep(e effort, d deployment.Deployment) error {
	if e.unrecorded {
		t.d = d
		return nil
	}
	return t.save(d)
}

// run is one activation, bounded in time. It fails if ctx ended meanwhile: an
// activation that was cut short by us says nothing about the system.
func (t *transaction) run(ctx context.Context, system proto.StorePath, force bool) (activation.Result, error) {
	bounded, cancel := context.WithTimeout(ctx, t.d.ActivationTimeout)
	defer cancel()
	r, err := t.Host.Activate(bounded, system, force)
	if ctx.Err() != nil {
		return activation.Result{}, context.Cause(ctx)
	}
	if err != nil { // nobody knows how far it came
		return activation.Result{Effect: activation.Partial, Reason: proto.ReasonActivationFailed, Message: err.Error()}, nil
	}
	return r, nil
}
