package transaction

import (
	"context"
	"fmt"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// begin makes sure that there is a way back, and notes what the activation
// would make the system forget.
func (t *transaction) begin(ctx context.Context) (deployment.Step, error) {
	s, err := t.Host.Systems()
	if err != nil {
		return deployment.Step{}, err
	}
	if s.Current != t.d.Proven.Toplevel || s.Profile != t.d.Proven.Toplevel {
		return superseded(s), nil
	}
	d := t.d
	if err := t.Store.Hold(d.Toplevel); err != nil {
		return deployment.Step{}, err
	}
	if d.Proven.Adopted {
		// A system that we did not commit: its boot default is not known.
		err := t.retry(ctx, "make the running system the boot default, so that there is a way back", loaderTimeout, func(ctx context.Context) error {
			return t.Host.SetDefault(ctx, d.Proven.Toplevel)
		})
		if ctx.Err() != nil {
			return deployment.Step{}, context.Cause(ctx)
		}
		if err != nil {
			return because(proto.PhaseFailed, proto.ReasonRegisterFailed, "%v", err), nil
		}
		d.Proven.Adopted = false
		if err := t.Store.Prove(d.Proven); err != nil {
			return deployment.Step{}, fmt.Errorf("keep the proven system: %w", err)
		}
	}
	if d.BootID, err = t.Host.BootID(); err != nil {
		return deployment.Step{}, fmt.Errorf("read boot id: %w", err)
	}
	b, err := t.Host.Baseline(ctx, d.Probation.Grace)
	if err != nil {
		return deployment.Step{}, fmt.Errorf("note what is wrong with the units: %w", err)
	}
	d.FailedBefore, d.RestartingBefore = b.Failed, b.Restarting
	t.d = d // saved with the step
	return to(proto.PhaseActivating), nil
}

// activate runs the new system. An activation that was interrupted is run
// again, whatever seems to run already.
func (t *transaction) activate(ctx context.Context) (deployment.Step, error) {
	if again, err := t.rebooted(); err != nil {
		return deployment.Step{}, err
	} else if again {
		return revertedByPowerLoss(), nil
	}
	patience := t.Now().Add(busyPatience)
	last := "it was killed before it said anything"
	for t.d.Activations < maxActivations {
		s, err := t.Host.Systems()
		if err != nil {
			return deployment.Step{}, err
		}
		if !t.ours(s) {
			return superseded(s), nil
		}
		d := t.d
		d.Activations++
		if err := t.save(d); err != nil {
			return deployment.Step{}, err
		}
		r, err := t.run(ctx, t.d.Toplevel, false)
		if err != nil {
			return deployment.Step{}, err
		}
		first := t.d.Activations == 1
		switch r.Effect {
		case activation.Active:
			return because(proto.PhaseProbation, "", "%s", r.Message), nil
		case activation.Untouched, activation.Unstarted:
			if first {
				return because(proto.PhaseFailed, r.Reason, "%s", r.Message), nil
			}
			return because(proto.PhaseRollingBack, r.Reason, "%s", r.Message), nil
		case activation.Broken:
			return because(proto.PhaseRollingBack, r.Reason, "%s", r.Message), nil
		case activation.Busy:
			if t.Now().After(patience) {
				return t.gaveUpWaiting(first, r), nil
			}
			d := t.d
			d.Activations-- // nothing was begun
			if err := t.save(d); err != nil {
				return deployment.Step{}, err
			}
		case activation.Partial:
			last = r.Message
			t.Log.WarnContext(ctx, "activation was interrupted and is run again", "deployment", t.d.ID, "detail", r.Message)
		}
		if err := t.Wait(ctx, retryPause); err != nil {
			return deployment.Step{}, err
		}
	}
	return because(proto.PhaseRollingBack, proto.ReasonInterrupted, "the activation was interrupted %d times: %s", t.d.Activations, last), nil
}

func (t *transaction) gaveUpWaiting(first bool, r activation.Result) deployment.Step {
	phase := proto.PhaseRollingBack
	if first {
		phase = proto.PhaseFailed
	}
	return because(phase, proto.ReasonBusy, "waited %s for somebody else's switch to end: %s", busyPatience, r.Message)
}

// run is one activation, bounded in time. It fails if ctx ended meanwhile: an
// activation that was cut short by us says nothing about the system.
func (t *transaction) run(ctx context.Context, toplevel proto.StorePath, force bool) (activation.Result, error) {
	bounded, cancel := context.WithTimeout(ctx, t.d.ActivationTimeout)
	defer cancel()
	r, err := t.Host.Activate(bounded, toplevel, force)
	if ctx.Err() != nil {
		return activation.Result{}, context.Cause(ctx)
	}
	return r, err
}

// judge decides between commit and rollback. The deadline counts from the
// beginning of the probation, however often this runs.
func (t *transaction) judge(ctx context.Context) (deployment.Step, error) {
	if again, err := t.rebooted(); err != nil {
		return deployment.Step{}, err
	} else if again {
		return revertedByPowerLoss(), nil
	}
	left := t.d.Since.Add(t.d.Probation.Deadline).Sub(t.Now())
	if left <= 0 {
		return because(proto.PhaseRollingBack, proto.ReasonInterrupted,
			"not decided within %s: the transaction was interrupted", t.d.Probation.Deadline), nil
	}
	bounded, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	j, err := t.Host.Judge(bounded, t.d.Probation, t.d.Baseline())
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if err != nil {
		return deployment.Step{}, err
	}
	if !j.Good {
		return deployment.Step{Phase: proto.PhaseRollingBack, Reason: j.Reason, Message: j.Message, Failed: j.Failed}, nil
	}
	s, err := t.Host.Systems()
	if err != nil {
		return deployment.Step{}, err
	}
	if s.Current != t.d.Toplevel || s.Profile != t.d.Proven.Toplevel {
		return superseded(s), nil
	}
	// What speaks against it and was not required goes into the history.
	return because(proto.PhaseCommitting, "", "%s", j.Message), nil
}

// commit registers the system and makes it the boot default. Where the power
// was lost in the middle, the proven system may be running again: the decision
// stands, and the new one is activated again.
func (t *transaction) commit(ctx context.Context) (deployment.Step, error) {
	s, err := t.Host.Systems()
	if err != nil {
		return deployment.Step{}, err
	}
	if !t.ours(s) {
		return superseded(s), nil
	}
	if !t.d.Registered {
		d := t.d
		d.Registered = true
		if err := t.save(d); err != nil {
			return deployment.Step{}, err
		}
	}
	var g proto.Generation
	err = t.retry(ctx, "register the system", profileTimeout, func(ctx context.Context) (err error) {
		g, err = t.Host.Register(ctx, t.d.Toplevel)
		return err
	})
	if err == nil {
		err = t.retry(ctx, "make it the boot default", loaderTimeout, func(ctx context.Context) error {
			return t.Host.SetDefault(ctx, t.d.Toplevel)
		})
	}
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if err != nil {
		return because(proto.PhaseRollingBack, proto.ReasonRegisterFailed, "%v", err), nil
	}
	if s, err = t.Host.Systems(); err != nil {
		return deployment.Step{}, err
	}
	if !t.ours(s) {
		return superseded(s), nil
	}
	if s.Current != t.d.Toplevel {
		r, err := t.run(ctx, t.d.Toplevel, true)
		if err != nil {
			return deployment.Step{}, err
		}
		if r.Effect != activation.Active {
			return because(proto.PhaseRollingBack, proto.ReasonPowerLoss,
				"the host was booted while the system was being committed, and it could not be activated again: %s", r.Message), nil
		}
	}
	if err := t.Store.Prove(deployment.Proven{
		Toplevel: t.d.Toplevel, Generation: g, Revision: t.d.Revision, Since: t.Now(),
	}); err != nil {
		return deployment.Step{}, fmt.Errorf("keep the proven system: %w", err)
	}
	t.d.Generation = g // saved with the step
	return to(proto.PhaseCommitted), nil
}
