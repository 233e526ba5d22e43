package transaction

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/loader"
	"kedge/agent/internal/profile"
	"kedge/proto"
)

// stage prepares a trial boot: it registers the new system, so that the boot
// loader has an entry of it, and has the profile and the boot default name the
// proven one.
func (t *transaction) stage(ctx context.Context) (deployment.Step, error) {
	if _, err := t.look(t.ours); err != nil {
		return deployment.Step{}, err
	}
	if !t.d.Registered {
		d := t.d
		d.Registered = true
		if err := t.save(d); err != nil {
			return deployment.Step{}, err
		}
	}
	g, err := t.enter(ctx)
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if err != nil {
		return because(proto.PhaseRollingBack, proto.ReasonRegisterFailed, "%v", err), nil
	}
	t.d.Registered, t.d.Generation = false, g // saved with the step
	return to(proto.PhaseStaged), nil
}

// enter makes an entry of the new system in the boot menu, and leaves the rest
// as it was. Above the proven system is nothing else: menus that have room for the newest
// generations only would lose it to what was staged before.
func (t *transaction) enter(ctx context.Context) (g proto.Generation, err error) {
	err = t.retry(ctx, "make the proven system the newest one below it", profileTimeout, func(ctx context.Context) error {
		return t.Host.Raise(ctx, t.d.Proven.Toplevel, t.d.Toplevel)
	})
	if err != nil {
		return 0, err
	}
	if g, err = t.registerProfile(ctx); err != nil {
		return 0, err
	}
	err = t.retry(ctx, "point the profile back", profileTimeout, func(ctx context.Context) error {
		return t.Host.Restore(ctx, t.d.Proven)
	})
	if err != nil {
		return 0, err
	}
	return g, t.retry(ctx, "add it to the boot menu", loaderTimeout, func(ctx context.Context) error {
		return t.Host.SetDefault(ctx, t.d.Proven.Toplevel)
	})
}

// arm makes the next boot the trial boot and, if that is the way, asks for it;
// or says what came of it, if it came.
func (t *transaction) arm(ctx context.Context) (deployment.Step, error) {
	s, err := t.look(t.ours)
	if err != nil {
		return deployment.Step{}, err
	}
	boot, err := t.Host.BootID()
	if err != nil {
		return deployment.Step{}, err
	}
	if boot != t.d.BootID {
		return t.booted(ctx, s, boot)
	}
	if t.d.TrialBoots == maxTries {
		return because(proto.PhaseRollingBack, proto.ReasonRebootFailed,
			"the host was asked %d times to reboot, and did not go down within %s", maxTries, t.d.Boots.Timeout), nil
	}
	d := t.d
	if !d.Armed { // it may have waited for long
		if d, err = t.note(ctx, d); err != nil {
			return deployment.Step{}, err
		}
	}
	d.Armed = true
	if d.Way == deployment.WayReboot {
		d.TrialBoots++
	}
	if err := t.save(d); err != nil {
		return deployment.Step{}, err
	}
	if err := t.point(ctx); err != nil {
		if ctx.Err() != nil {
			return deployment.Step{}, context.Cause(ctx)
		}
		return because(proto.PhaseRollingBack, proto.ReasonRegisterFailed, "%v", err), nil
	}
	if d = t.d; d.Way == deployment.WayBoot {
		d.Parked = true
		return deployment.Step{}, t.save(d)
	}
	return deployment.Step{}, t.goDown(ctx)
}

// point has the boot loader boot the new system next. Where the loader cannot do
// that once, the new system becomes the boot default before it is proven, until it
// was booted: there is no other way to try it.
func (t *transaction) point(ctx context.Context) error {
	if err := t.Store.Guard(t.d.Agent); err != nil {
		return err
	}
	err := t.retry(ctx, "make the next boot one of the new system", loaderTimeout, t.armEntry)
	if !errors.Is(err, loader.ErrUnprotected) || t.d.Boots.Protected {
		return err
	}
	t.Log.WarnContext(ctx, "the trial boot is not protected: the new system becomes the boot default", "deployment", t.d.ID, "err", err)
	d := t.d
	d.Registered = true
	if err := t.save(d); err != nil {
		return err
	}
	_, err = t.register(ctx)
	return err
}

// booted says what came of the trial boot.
func (t *transaction) booted(ctx context.Context, s proto.Systems, boot string) (deployment.Step, error) {
	switch {
	case t.ofNew(s.Booted):
		registered, err := t.unpoint(ctx)
		if err != nil {
			return deployment.Step{}, err
		}
		// Saved with the step.
		t.d.BootID, t.d.Activated, t.d.Trial, t.d.Parked, t.d.Registered = boot, s.Booted, true, false, registered
		return to(proto.PhaseProbation), nil
	case t.ofProven(s.Booted):
		return because(proto.PhaseRollingBack, proto.ReasonTrialBootFailed,
			"the host booted the proven system: the trial boot did not come up, or somebody chose another entry"), nil
	}
	i := &intrusion{found: fmt.Sprintf("%s was booted", s.Booted)}
	return i.step(), nil
}

// unpoint makes the proven system the boot default again if the new one had to be,
// before anything is judged: a reset in the middle then goes back. It reports whether
// the new one still is the default; the way back tries again.
func (t *transaction) unpoint(ctx context.Context) (registered bool, err error) {
	if !t.d.Registered {
		return false, nil
	}
	wrong := t.restore(ctx)
	if ctx.Err() != nil {
		return true, context.Cause(ctx)
	}
	if len(wrong) > 0 {
		t.Log.WarnContext(ctx, "the system on trial is still the boot default", "deployment", t.d.ID, "err", strings.Join(wrong, "; "))
	}
	return len(wrong) > 0, nil
}

// overtaken ends what somebody else came in the way of. What is touched is only
// what this deployment itself made of the boots to come, before it was decided: a
// profile that names the new system is somebody else's if we did not register it.
func (t *transaction) overtaken(ctx context.Context, i *intrusion) (deployment.Step, error) {
	s := i.step()
	if !t.d.Armed || t.d.Phase == proto.PhaseCommitting {
		return s, nil
	}
	if t.d.Phase == proto.PhaseArmed {
		if err := t.leaveTrial(ctx); err != nil {
			return deployment.Step{}, err
		}
	}
	var wrong []string
	if i.profile == t.d.Proven.Toplevel || t.d.Registered && i.profile == t.d.Toplevel {
		wrong = t.restore(ctx)
	} else if err := t.disarm(ctx); err != nil {
		wrong = append(wrong, err.Error())
	}
	if ctx.Err() != nil {
		return deployment.Step{}, context.Cause(ctx)
	}
	if len(wrong) > 0 {
		s.Message += "; the next boot may be one of " + t.d.Toplevel.String() + ": " + strings.Join(wrong, "; ")
	}
	return s, nil
}

// leaveTrial boots what somebody else registered while the trial boot was to come, if
// that came all the same: nobody would judge it now. If that is the new system itself,
// it runs already.
func (t *transaction) leaveTrial(ctx context.Context) error {
	s, err := t.Host.Systems()
	if _, foreign := errors.AsType[*profile.LinkError](err); foreign {
		return nil // what is registered is nothing that could be booted
	}
	if err != nil {
		return fmt.Errorf("look at the systems: %w", err)
	}
	rebooted, err := t.rebooted()
	if err != nil || !rebooted || !t.ofNew(s.Current) {
		return err
	}
	if !t.d.Registered && s.Profile == t.d.Toplevel {
		return nil
	}
	return t.bootBack(ctx, false) // somebody else chose where it leads
}

// disarm makes the next boot one of the boot default again.
func (t *transaction) disarm(ctx context.Context) error {
	return t.retry(ctx, "make the next boot one of the boot default", loaderTimeout, t.Host.Disarm)
}

// up waits until this boot has ended, and reports whether it did in time.
func (t *transaction) up(ctx context.Context) (bool, error) {
	err := bounded(ctx, t.d.Boots.Timeout, t.Host.AwaitBoot)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, context.DeadlineExceeded):
		return false, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	}
	return false, fmt.Errorf("wait for the end of the boot: %w", err)
}

// afterBoot waits for the end of this boot, whatever that is like: before, what a
// switch needs may not run yet, such as the message bus.
func (t *transaction) afterBoot(ctx context.Context) error {
	up, err := t.up(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !up {
		t.Log.WarnContext(ctx, "the boot has not ended, and is not waited for any longer", "deployment", t.d.ID, "err", err)
	}
	return nil
}

// end lets the boots after the end be, and this one count as good unless it is one of
// a system that was not.
func (t *transaction) end(ctx context.Context) error {
	if err := t.Store.Unguard(); err != nil {
		return err
	}
	s, err := t.Host.Systems()
	if err != nil || t.ofNew(s.Booted) && !t.ofProven(s.Booted) && t.d.Phase != proto.PhaseCommitted {
		return nil //nolint:nilerr // of which nobody knows what was booted is not good
	}
	if err := bounded(ctx, agentTimeout, t.Host.Bless); err != nil {
		t.Log.WarnContext(ctx, "the boot loader still counts this boot as failed", "deployment", t.d.ID, "err", err)
	}
	return nil
}

// goDown has the host boot. It returns nil if the host is still up after all the
// time that it may take; as a rule ctx ends before that.
func (t *transaction) goDown(ctx context.Context) error { return t.goDownOr(ctx, false) }

// goDownOr is goDown, and resets the host, if it may be, where nobody answers who could
// have it go down.
func (t *transaction) goDownOr(ctx context.Context, reset bool) error {
	t.Log.InfoContext(ctx, "the host reboots", "deployment", t.d.ID, "phase", t.d.Phase)
	if err := t.retry(ctx, "reboot the host", agentTimeout, t.Host.Reboot); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.Log.ErrorContext(ctx, "the host cannot be rebooted", "deployment", t.d.ID, "err", err)
		if reset && errors.Is(err, ErrNoAnswer) {
			t.Log.ErrorContext(ctx, "the host is reset, as nobody answers who could have it go down", "deployment", t.d.ID)
			if err := t.Host.Reset(ctx); err != nil {
				t.Log.ErrorContext(ctx, "the host cannot be reset", "deployment", t.d.ID, "err", err)
			}
		}
	}
	return t.Wait(ctx, t.d.Boots.Timeout)
}

// bootAgain brings a system that was proven in its trial boot back, after
// another boot in the middle of its commit. It is the boot default by now.
func (t *transaction) bootAgain(ctx context.Context) (activation.Result, error) {
	for t.d.CommitBoots < maxBoots {
		d := t.d
		d.CommitBoots++
		if err := t.save(d); err != nil {
			return activation.Result{}, err
		}
		if err := t.goDown(ctx); err != nil {
			return activation.Result{}, err
		}
	}
	return activation.Result{Effect: activation.Partial, Message: "the boot into it did not come"}, nil
}

// bootBack boots the boot default, as a rule the proven system. It returns nil if that
// did not come, however often it was tried. If it is certain that the boot leads to the
// proven system, the last try is a reset where nobody answers. The one before had all the
// time that an orderly end may take, unless this process, or this boot, began after it.
func (t *transaction) bootBack(ctx context.Context, certain bool) error {
	for t.d.RollbackBoots < maxBoots {
		d := t.d
		d.RollbackBoots++
		if err := t.save(d); err != nil {
			return err
		}
		if err := t.goDownOr(ctx, certain && d.RollbackBoots == maxBoots); err != nil {
			return err
		}
	}
	return nil
}
