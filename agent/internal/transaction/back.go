package transaction

import (
	"context"
	"errors"
	"fmt"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/health"
	"kedge/proto"
)

// rollBack brings the proven system back and judges it. It needs nothing of
// the new system, and no network but to tell who was at fault.
func (t *transaction) rollBack(ctx context.Context) (deployment.Step, error) {
	s, err := t.Host.Systems()
	if err != nil {
		return deployment.Step{}, err
	}
	if !t.ours(s) {
		return superseded(s), nil
	}
	// What bars the way does not keep the running system from going back.
	barred := t.retry(ctx, "point the profile back", profileTimeout, func(ctx context.Context) error { return t.Host.Restore(ctx, t.d.Proven) })
	again, err := t.rebooted()
	if err != nil {
		return deployment.Step{}, err
	}
	// A boot into the proven system did the work already.
	back := again && t.d.RollbackActivations == 0 && s.Current == t.d.Proven.Toplevel && s.Booted == t.d.Proven.Toplevel
	if !back {
		r, err := t.reactivate(ctx)
		if err != nil {
			return deployment.Step{}, err
		}
		if r.Effect != activation.Active {
			return because(proto.PhaseRollbackFailed, proto.ReasonRollbackFailed,
				"the proven system could not be activated in %d tries: %s; rolling back because of %s: %s",
				t.d.RollbackActivations, r.Message, t.d.Reason, t.d.Message), nil
		}
	}
	if t.d.Registered {
		barred = errors.Join(barred, t.retry(ctx, "make the proven system the boot default", loaderTimeout, func(ctx context.Context) error {
			return t.Host.SetDefault(ctx, t.d.Proven.Toplevel)
		}))
		if err := t.Store.Prove(t.d.Proven); err != nil {
			return deployment.Step{}, fmt.Errorf("keep the proven system: %w", err)
		}
	}
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if barred != nil {
		return because(proto.PhaseRollbackFailed, proto.ReasonRollbackFailed,
			"the proven system was activated, but: %v; rolling back because of %s: %s", barred, t.d.Reason, t.d.Message), nil
	}
	if back && t.blameless() {
		// Nothing is held against the new system, whatever the proven one does;
		// the next attempt need not wait for a judgement.
		return to(proto.PhaseInconclusive), nil
	}
	bounded, cancel := context.WithTimeout(ctx, t.d.RollbackProbation.Deadline)
	defer cancel()
	j, err := t.Host.Judge(bounded, t.d.RollbackProbation, t.d.Baseline())
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if err != nil {
		return deployment.Step{}, err
	}
	return t.settled(j)
}

// reactivate runs the proven system, and returns what came of the last try.
func (t *transaction) reactivate(ctx context.Context) (activation.Result, error) {
	last := activation.Result{Effect: activation.Partial, Message: "every try was interrupted"}
	patience := t.Now().Add(busyPatience)
	for n := 0; n < maxActivations && t.d.RollbackActivations < maxReactivations; n++ {
		d := t.d
		d.RollbackActivations++
		if err := t.save(d); err != nil {
			return activation.Result{}, err
		}
		r, err := t.run(ctx, t.d.Proven.Toplevel, true)
		if err != nil || r.Effect == activation.Active {
			return r, err
		}
		last = r
		t.Log.WarnContext(ctx, "the proven system could not be activated", "deployment", t.d.ID,
			"try", t.d.RollbackActivations, "effect", r.Effect, "detail", r.Message)
		if r.Effect == activation.Busy && t.Now().Before(patience) {
			d := t.d
			d.RollbackActivations-- // nothing was begun
			if err := t.save(d); err != nil {
				return activation.Result{}, err
			}
		}
		if err := t.Wait(ctx, retryPause); err != nil {
			return activation.Result{}, err
		}
	}
	return last, nil
}

// settled says what the rollback has come to. The toplevel is at fault only if
// the proven system does what the new one could not.
func (t *transaction) settled(j health.Judgement) (deployment.Step, error) {
	switch {
	case !j.Contact:
		return to(proto.PhaseInconclusive), nil
	case !j.Good:
		s := because(proto.PhaseRollbackFailed, proto.ReasonRollbackFailed,
			"the proven system runs again, but %s; rolling back because of %s: %s", j.Message, t.d.Reason, t.d.Message)
		s.Failed = j.Failed
		return s, nil
	case t.blameless():
		return to(proto.PhaseInconclusive), nil
	}
	if t.d.Reason != proto.ReasonRegisterFailed {
		if err := t.Store.Quarantine(t.d.Toplevel, t.d.Reason, t.Now()); err != nil {
			return deployment.Step{}, fmt.Errorf("quarantine %s: %w", t.d.Toplevel, err)
		}
	}
	return to(proto.PhaseRolledBack), nil
}

// blameless reports whether nothing is proven against the new system: it was
// interrupted from outside, and not for the second time.
func (t *transaction) blameless() bool {
	return t.d.EndedFromOutside() && t.d.Interrupted == 0 || t.d.Reason == proto.ReasonBusy
}
