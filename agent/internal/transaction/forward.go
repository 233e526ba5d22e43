package transaction

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// begin makes sure that there is a way back, and notes what the activation
// would make the system forget.
func (t *transaction) begin(ctx context.Context) (deployment.Step, error) {
	if t.d.Restore {
		return t.beginRestore(ctx)
	}
	if err := t.notAmidBoot(ctx); err != nil {
		return deployment.Step{}, err
	}
	d := t.d
	if _, err := t.look(t.untouched); err != nil {
		return deployment.Step{}, err
	}
	if err := t.Store.Hold(d.Toplevel); err != nil {
		return deployment.Step{}, err
	}
	if d.Way == deployment.WayDry {
		return t.dryActivate(ctx)
	}
	if len(d.LostTo) > 0 {
		err := t.disarm(ctx) // no boot may lead to what was left
		if ctx.Err() != nil {
			return deployment.Step{}, context.Cause(ctx)
		}
		if err != nil {
			return because(proto.PhaseFailed, proto.ReasonRegisterFailed, "%v", err), nil
		}
	}
	if d.Proven.Adopted {
		// A system that we did not commit: its boot default is not known.
		err := t.retry(ctx, "make the running system the boot default, so that there is a way back", loaderTimeout, func(ctx context.Context) error {
			return t.inMenu(ctx, t.Host.SetDefault(ctx, d.Proven.Toplevel))
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
	d, err := t.note(ctx, d)
	if err != nil {
		return deployment.Step{}, err
	}
	t.d = d // saved with the step
	if d.Way.Staged() {
		return to(proto.PhaseStaging), nil
	}
	return to(proto.PhaseActivating), nil
}

// notAmidBoot returns nil if this boot has ended, or is up for as long as a boot may
// take. Else it waits for that, and then returns [ErrWaited]. In a boot that has not
// ended, services that the new system changed have yet to be started, and would be taken
// for good; others have yet to fail, and would be held against it.
func (t *transaction) notAmidBoot(ctx context.Context) error {
	began, err := t.Host.Uptime()
	if err != nil {
		return err
	}
	left := t.d.Boots.Timeout - began
	if left <= 0 {
		return nil
	}
	if err := bounded(ctx, left, t.Host.AwaitBoot); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ended, err := t.Host.Uptime()
	if err == nil && ended-began >= waited {
		err = ErrWaited
	}
	return err
}

// waited is more than it takes to see that a boot has ended.
const waited = 2 * time.Second

// dryActivate asks the new system what it would change.
func (t *transaction) dryActivate(ctx context.Context) (deployment.Step, error) {
	bounded, cancel := context.WithTimeout(ctx, t.d.ActivationTimeout)
	defer cancel()
	lines, err := t.Host.DryActivate(bounded, t.d.System())
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if err != nil {
		return because(proto.PhaseFailed, proto.ReasonActivationFailed, "%v", err), nil
	}
	return because(proto.PhaseTried, "", "%s", strings.Join(lines, "\n")), nil
}

// note returns d with what an activation would make the system forget.
func (t *transaction) note(ctx context.Context, d deployment.Deployment) (deployment.Deployment, error) {
	var err error
	if d.BootID, err = t.Host.BootID(); err != nil {
		return d, err
	}
	if d.Lost, err = t.lost(d); err != nil {
		return d, err
	}
	if !d.Lost { // else it is noted: what failed since has failed with what is left
		b, err := t.Host.Baseline(ctx, d.Probation.Grace)
		if err != nil {
			return d, fmt.Errorf("note what is wrong with the units: %w", err)
		}
		d.FailedBefore, d.RestartingBefore = b.Failed, b.Restarting
	}
	err = t.tryBefore(ctx, &d)
	return d, err
}

// lost reports whether d, whose BootID is that of this boot, still begins where a way back
// has failed. A boot into the proven system heals the host: what fails there now is no fault
// of d's. One that is to be brought back is judged as it was before it was left.
func (t *transaction) lost(d deployment.Deployment) (bool, error) {
	if !d.Lost || d.Restore || d.BootID == d.LostIn {
		return d.Lost, nil
	}
	s, err := t.look(t.ours)
	return !t.ofProven(s.Booted) || !t.ofProven(s.Current), err
}

// activate runs the new system. An activation that was interrupted is run
// again, whatever seems to run already.
func (t *transaction) activate(ctx context.Context) (deployment.Step, error) {
	if again, err := t.rebooted(); err != nil {
		return deployment.Step{}, err
	} else if again {
		return revertedByPowerLoss(), nil
	}
	r, err := t.bring(ctx, effort{
		system: t.d.System(), count: func(d *deployment.Deployment) *int { return &d.Activations }, most: maxActivations,
	})
	if err != nil {
		return deployment.Step{}, err
	}
	refused := proto.PhaseRollingBack
	if t.d.Activations == 1 {
		refused = proto.PhaseFailed // nothing was touched before this try, nor by it
	}
	switch r.Effect {
	case activation.Active:
		return because(proto.PhaseProbation, "", "%s", r.Message), nil
	case activation.Untouched, activation.Unstarted:
		return because(refused, r.Reason, "%s", r.Message), nil
	case activation.Busy:
		return because(refused, r.Reason, "waited %s for somebody else's switch to end: %s", busyPatience, r.Message), nil
	case activation.Broken:
		return because(proto.PhaseRollingBack, r.Reason, "%s", r.Message), nil
	case activation.Partial:
		return because(proto.PhaseRollingBack, proto.ReasonInterrupted, "the activation was interrupted %d times: %s", t.d.Activations, r.Message), nil
	}
	return deployment.Step{}, fmt.Errorf("activation of %s had the unknown effect %q", t.d.System(), r.Effect)
}

// judge decides between commit and rollback. The deadline counts from the
// beginning of the probation, however often this runs.
func (t *transaction) judge(ctx context.Context) (deployment.Step, error) {
	if again, err := t.rebooted(); err != nil {
		return deployment.Step{}, err
	} else if again {
		return revertedByPowerLoss(), nil
	}
	deadline := t.d.Probation.Deadline
	if t.d.Trial {
		deadline += t.d.Boots.Timeout
	}
	passed, err := t.onProbation()
	if err != nil {
		return deployment.Step{}, err
	}
	left := deadline - passed
	if left < t.d.Probation.Grace { // too little to judge anything in
		return because(proto.PhaseRollingBack, proto.ReasonInterrupted,
			"not decided within %s: the transaction was interrupted", deadline), nil
	}
	bounded, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	if t.d.Trial {
		s, bad, err := t.comeUp(bounded)
		if bounded.Err() != nil && ctx.Err() == nil {
			return because(proto.PhaseRollingBack, proto.ReasonActivationHung, "what the boot leads to did not run within %s", deadline), nil
		}
		if bad || err != nil {
			return s, err
		}
	}
	j, err := t.judgeUnlessRecalled(bounded)
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if r, ok := errors.AsType[*recalled](err); ok {
		return because(proto.PhaseRollingBack, proto.ReasonRolledBackByHand, "%s", r.why), nil
	}
	if err != nil {
		return deployment.Step{}, err
	}
	if !j.Good {
		t.d.Checks = j.Checks // saved with the step
		return deployment.Step{Phase: proto.PhaseRollingBack, Reason: j.Reason, Message: j.Message, Failed: j.Failed}, nil
	}
	if _, err := t.look(func(s proto.Systems) bool { return s.Current == t.d.System() && t.ours(s) }); err != nil {
		return deployment.Step{}, err
	}
	t.d.LostTo = nil
	t.d.Checks = j.Checks // saved with the step
	next := proto.PhaseTried
	if t.d.Way != deployment.WayTest {
		next, t.d.Registered = proto.PhaseCommitting, true // likewise
	}
	// What speaks against it and was not required goes into the history.
	return because(next, "", "%s", j.Message), nil
}

// commit registers the system, makes it the boot default and takes it as
// proven. Where the power was lost in the middle, the proven system may be
// running again: the decision stands, and the new one is activated again.
func (t *transaction) commit(ctx context.Context) (deployment.Step, error) {
	if _, err := t.look(t.ours); err != nil {
		return deployment.Step{}, err
	}
	if !t.d.Registered { // as earlier versions left it
		d := t.d
		d.Registered = true
		if err := t.save(d); err != nil {
			return deployment.Step{}, err
		}
	}
	g, err := t.register(ctx)
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if err != nil {
		return because(proto.PhaseRollingBack, proto.ReasonRegisterFailed, "%v", err), nil
	}
	r, err := t.runAgain(ctx)
	if err != nil {
		return deployment.Step{}, err
	}
	if r.Effect != activation.Active {
		return because(proto.PhaseRollingBack, proto.ReasonPowerLoss,
			"the system did not run any more when it was to be committed, and could not be activated again in %d tries: %s",
			t.d.CommitActivations, r.Message), nil
	}
	if err := t.Store.Prove(deployment.Proven{
		Toplevel: t.d.Toplevel, Generation: g, Revision: t.d.Revision, Release: t.d.Release, Since: t.Now(), Previous: t.d.Previous(),
		Specialisation: t.d.Specialisation,
	}); err != nil {
		return deployment.Step{}, fmt.Errorf("keep the proven system: %w", err)
	}
	t.d.Generation = g // saved with the step
	return because(proto.PhaseCommitted, "", "%s", t.leave(ctx, r.Message)), nil
}

// register makes the profile name the new system, and the boot loader boot it.
func (t *transaction) register(ctx context.Context) (g proto.Generation, err error) {
	if g, err = t.registerProfile(ctx); err != nil {
		return 0, err
	}
	return g, t.retry(ctx, "make it the boot default", loaderTimeout, func(ctx context.Context) error {
		return t.Host.SetDefault(ctx, t.d.Toplevel)
	})
}

// registerProfile makes the profile name the new system.
func (t *transaction) registerProfile(ctx context.Context) (g proto.Generation, err error) {
	err = t.retry(ctx, "register the system", profileTimeout, func(ctx context.Context) (err error) {
		g, err = t.Host.Register(ctx, t.d.Toplevel)
		return err
	})
	return g, err
}

// runAgain activates the new system unless it runs. The agent of the system that
// was booted instead has outlived that: it is restarted.
func (t *transaction) runAgain(ctx context.Context) (activation.Result, error) {
	s, err := t.look(t.ours)
	if err != nil {
		return activation.Result{}, err
	}
	again, err := t.rebooted()
	if err != nil {
		return activation.Result{}, err
	}
	r := activation.Result{Effect: activation.Active}
	if !t.runs(t.d.System(), s, again) {
		if t.d.Way.Staged() && !t.ofNew(s.Booted) {
			return t.bootAgain(ctx)
		}
		if again {
			if err := t.afterBoot(ctx); err != nil {
				return activation.Result{}, err
			}
		}
		r, err = t.bring(ctx, effort{
			system: t.d.System(), count: func(d *deployment.Deployment) *int { return &d.CommitActivations }, most: maxActivations, decided: true,
		})
		if err != nil || r.Effect != activation.Active {
			return r, err
		}
		if err := t.save(t.d); err != nil {
			return activation.Result{}, err
		}
	}
	if t.d.CommitActivations == 0 {
		return r, nil
	}
	// It was judged good before: that it does not start says nothing new.
	err = t.retry(ctx, "restart the agent", agentTimeout, t.Host.RestartAgent)
	if ctx.Err() != nil {
		return activation.Result{}, context.Cause(ctx)
	}
	if err != nil {
		r.Message = err.Error()
	}
	return r, nil
}
