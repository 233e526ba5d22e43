package transaction

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/health"
	"kedge/agent/internal/loader"
	"kedge/proto"
)

// rollBack brings the proven system back and judges it. It needs nothing of
// the new system, and no network but to tell who was at fault.
func (t *transaction) rollBack(ctx context.Context) (deployment.Step, error) {
	s, err := t.look(t.ours)
	if err != nil {
		return deployment.Step{}, err
	}
	boot, err := t.Host.BootID()
	if err != nil {
		return deployment.Step{}, err
	}
	rebooted := boot != t.d.BootID
	// A boot into the proven system did the work already, unless it is to run in a
	// specialisation.
	booted := rebooted && t.runs(t.d.BackTo(), s, rebooted)
	wrong := t.restore(ctx)
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if !booted && t.inTrial(s, rebooted) {
		if err := t.bootBack(ctx, len(wrong) == 0); err != nil {
			return deployment.Step{}, err
		}
	}
	if t.idle(s, rebooted) && len(wrong) == 0 {
		return t.settled(ctx, health.Judgement{Contact: true}), nil
	}
	if t.triedByHand(s, rebooted) && len(wrong) == 0 {
		return because(proto.PhaseSuperseded, proto.ReasonThirdParty,
			"somebody else runs %s, which waited for its trial boot; that is left to them, and the boot default is %s", s.Current, t.d.Proven.Toplevel), nil
	}
	down := ""
	if !booted {
		if rebooted || t.d.Trial {
			if err := t.afterBoot(ctx); err != nil {
				return deployment.Step{}, err
			}
		}
		if down, err = t.reactivate(ctx); err != nil {
			return deployment.Step{}, err
		}
	}
	switch {
	case down != "" && t.d.Boots.LastResort && t.d.RollbackBoots == 0:
		return deployment.Step{}, t.lastResort(ctx, down)
	case down != "":
		return t.failed(boot, strings.Join(append(wrong, down), "; ")), nil
	case len(wrong) > 0:
		return t.failed(boot, "the proven system was activated, but: "+strings.Join(wrong, "; ")), nil
	case booted && t.blameless():
		// Nothing is held against the new system, whatever the proven one does;
		// the next attempt need not wait for a judgement.
		return t.absolved(), nil
	}
	return t.judgeProven(ctx, boot)
}

// inTrial reports whether this boot is the trial boot, or one after it that did
// not lead back: then only a boot does.
func (t *transaction) inTrial(s proto.Systems, rebooted bool) bool {
	if t.ofProven(s.Booted) {
		return false
	}
	return t.d.Trial || t.d.Armed && rebooted && t.ofNew(s.Booted)
}

// idle reports whether no unit of the system that ran was ever touched: only the
// profile and the boot loader were.
func (t *transaction) idle(s proto.Systems, rebooted bool) bool {
	return s.Current == t.d.Runs() && !rebooted && t.d.Activations == 0 && t.d.RollbackActivations == 0
}

// triedByHand reports whether somebody else made the new system run while it waited for
// its trial boot: this deployment has activated nothing, and it was not booted. Who takes
// it back wants it gone.
func (t *transaction) triedByHand(s proto.Systems, rebooted bool) bool {
	waited := t.d.Armed && !t.d.Trial && !rebooted && t.d.Activations == 0 && t.d.RollbackActivations == 0
	return waited && t.d.Reason != proto.ReasonRolledBackByHand && t.ofNew(s.Current) && !t.ofProven(s.Current)
}

// absolved is the end of a way back that proves nothing against the new system.
func (t *transaction) absolved() deployment.Step {
	if t.d.Reason == proto.ReasonNewerAssignment || t.d.Reason == proto.ReasonThirdParty {
		return to(proto.PhaseSuperseded)
	}
	return to(proto.PhaseInconclusive)
}

// lastResort boots the host, because the proven system cannot be activated.
func (t *transaction) lastResort(ctx context.Context, why string) error {
	t.Log.ErrorContext(ctx, "the host reboots as a last resort", "deployment", t.d.ID, "err", why)
	if err := t.Store.Guard(t.d.Agent); err != nil {
		return err
	}
	d := t.d
	d.RollbackBoots++
	if err := t.save(d); err != nil {
		return err
	}
	return t.goDown(ctx)
}

// judgeProven ends a way back by what the proven system does now that it runs.
func (t *transaction) judgeProven(ctx context.Context, boot string) (deployment.Step, error) {
	if boot != t.d.BootID { // not before it has come up; nor never, if it does not
		if _, err := t.up(ctx); err != nil {
			return deployment.Step{}, err
		}
	}
	var j health.Judgement
	err := t.retry(ctx, "judge the proven system", t.d.RollbackProbation.Deadline, func(ctx context.Context) (err error) {
		j, err = t.Host.Judge(ctx, t.subject(t.d.BackTo()), t.d.RollbackProbation, t.d.Baseline())
		return err
	})
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if err != nil {
		return t.failed(boot, fmt.Sprintf("the proven system was activated, but not judged: %v", err)), nil
	}
	if _, err := t.look(are(t.d.BackTo(), t.d.Proven.Toplevel)); err != nil {
		return deployment.Step{}, err
	}
	if j.Contact && !j.Good {
		s := t.failed(boot, "the proven system runs again, but "+j.Message)
		s.Failed = j.Failed
		return s, nil
	}
	return t.settled(ctx, j), nil
}

// restore makes everything that outlives a boot name the proven system again,
// and says what of it cannot be done: that does not keep the running system
// from going back.
func (t *transaction) restore(ctx context.Context) (wrong []string) {
	proven := t.d.Proven
	try := func(what string, limit time.Duration, f func(ctx context.Context) error) {
		if err := t.retry(ctx, what, limit, f); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	try("point the profile back", profileTimeout, func(ctx context.Context) error { return t.Host.Restore(ctx, proven) })
	if t.d.Armed || len(t.d.LostTo) > 0 { // what was left may be armed still
		if err := t.disarm(ctx); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if t.d.Registered {
		known := len(wrong)
		try("make the proven system the boot default", loaderTimeout, func(ctx context.Context) error {
			err := t.Host.SetDefault(ctx, proven.Toplevel)
			if err != nil && !errors.Is(err, activation.ErrBusy) {
				// There may be no room for the new one beside it, or whatever is newest is booted.
				err = errors.Join(err, t.Host.Drop(ctx, t.d.Toplevel))
			}
			return t.inMenu(ctx, err)
		})
		proven.Adopted = len(wrong) > known // so that it is tried again before anything else is begun
		try("keep the proven system", profileTimeout, func(context.Context) error { return t.Store.Prove(proven) })
	}
	if len(wrong) == 0 && (t.d.Registered || !t.d.Restore) { // else the boot default was left alone
		t.d.LostTo = nil // saved with what comes next
	}
	return wrong
}

// inMenu has the next try of what failed with err find an entry of the proven system in the
// boot menu, if that was too old a generation to have one.
func (t *transaction) inMenu(ctx context.Context, err error) error {
	if errors.Is(err, loader.ErrNoEntry) {
		err = errors.Join(err, t.Host.Raise(ctx, t.d.Proven.Toplevel, proto.StorePath{}))
	}
	return err
}

// reactivate runs the proven system. If it cannot, it says why.
func (t *transaction) reactivate(ctx context.Context) (down string, err error) {
	r, err := t.bring(ctx, effort{
		system: t.d.BackTo(), count: func(d *deployment.Deployment) *int { return &d.RollbackActivations }, most: maxReactivations, decided: true,
	})
	switch {
	case err != nil:
		return "", err
	case r.Effect == activation.Active:
		return "", t.save(t.d)
	case t.d.Activated == t.d.BackTo():
		return fmt.Sprintf("the proven system was activated, but all of %d tries to judge it were interrupted", t.d.RollbackActivations), nil
	default:
		return fmt.Sprintf("the proven system could not be activated in %d tries: %s", t.d.RollbackActivations, r.Message), nil
	}
}

// failed is the end of a way back that was not gone to its end in this boot.
func (t *transaction) failed(boot, why string) deployment.Step {
	t.d.BootID = boot // saved with the step
	return because(proto.PhaseRollbackFailed, proto.ReasonRollbackFailed,
		"%s; rolling back because of %s: %s", why, t.d.Reason, t.d.Message)
}

// settled says what a way back has come to. The toplevel is at fault only if
// the proven system does what the new one could not.
func (t *transaction) settled(ctx context.Context, j health.Judgement) deployment.Step {
	phase := proto.PhaseRolledBack
	if !j.Contact || t.blameless() {
		phase = t.absolved().Phase
	}
	if !t.atFault(phase) {
		return to(phase)
	}
	bad := t.d.Toplevel
	if t.d.Respecialises() { // which is proven
		bad = t.d.System()
	}
	if err := t.Store.Quarantine(bad, t.d.Reason, t.Now()); err != nil {
		t.Log.ErrorContext(ctx, "the system cannot be quarantined", "deployment", t.d.ID, "toplevel", bad, "err", err)
		s := because(phase, t.d.Reason, "%s; it cannot be quarantined: %v", t.d.Message, err)
		s.Failed = t.d.Failed
		return s
	}
	return to(phase)
}

// atFault reports whether the system must not be tried again that was gone back
// from, to end in phase. Somebody who wants it back need not prove anything.
func (t *transaction) atFault(phase proto.Phase) bool {
	if t.d.Restore && t.d.Respecialises() {
		return false // both are of the proven system
	}
	if t.d.Reason == proto.ReasonRolledBackByHand {
		return true
	}
	return phase == proto.PhaseRolledBack && t.d.Reason != proto.ReasonRegisterFailed && t.d.Reason != proto.ReasonDriftRestored
}

// blameless reports whether nothing is proven against the new system: it was
// interrupted from outside, and not for the second time, is not wanted any more, or
// somebody else came in its way before it began.
func (t *transaction) blameless() bool {
	harmless := append(proto.RefusalReasons(), proto.ReasonBusy, proto.ReasonNewerAssignment, proto.ReasonThirdParty, proto.ReasonRebootFailed)
	return t.d.EndedFromOutside() && t.d.Interrupted == 0 || slices.Contains(harmless, t.d.Reason)
}
