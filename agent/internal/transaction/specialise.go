package transaction

import (
	"context"
	"errors"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/loader"
	"kedge/proto"
)

// ofNew reports whether p is what is tried, or the base of it.
func (t *transaction) ofNew(p proto.StorePath) bool {
	return p == t.d.Toplevel || p == t.d.System()
}

// ofProven likewise, of what is gone back to.
func (t *transaction) ofProven(p proto.StorePath) bool {
	return p == t.d.Proven.Toplevel || p == t.d.BackTo()
}

// armEntry has the boot loader boot the new system's specialisation next; or the
// base system, where it has no entry of that: some list them of their default only.
func (t *transaction) armEntry(ctx context.Context) error {
	err := t.Host.Arm(ctx, t.d.System())
	if errors.Is(err, loader.ErrNoEntry) && t.d.System() != t.d.Toplevel {
		return t.Host.Arm(ctx, t.d.Toplevel)
	}
	return err
}

// comeUp waits, in a trial boot, until what is to be judged runs. It says whether that
// does not come, and why.
func (t *transaction) comeUp(ctx context.Context) (s deployment.Step, bad bool, err error) {
	up, err := t.up(ctx)
	if err != nil {
		return deployment.Step{}, false, err
	}
	if !up {
		return because(proto.PhaseRollingBack, proto.ReasonActivationHung, "the boot did not end within %s", t.d.Boots.Timeout), true, nil
	}
	return t.specialise(ctx)
}

// specialise goes, in a trial boot that led to the base system, to the
// specialisation that is to be judged. It says whether that cannot be had, and why.
func (t *transaction) specialise(ctx context.Context) (s deployment.Step, bad bool, err error) {
	systems, err := t.look(t.ours)
	if err != nil || t.d.System() == t.d.Toplevel || t.runs(t.d.System(), systems, false) {
		return deployment.Step{}, false, err
	}
	r, err := t.bring(ctx, effort{
		system: t.d.System(), count: func(d *deployment.Deployment) *int { return &d.Activations }, most: maxActivations,
	})
	if err != nil {
		return deployment.Step{}, false, err
	}
	switch r.Effect {
	case activation.Active:
		return deployment.Step{}, false, t.save(t.d)
	case activation.Partial:
		return because(proto.PhaseRollingBack, proto.ReasonInterrupted, "the activation was interrupted %d times: %s", t.d.Activations, r.Message), true, nil
	case activation.Untouched, activation.Busy, activation.Broken, activation.Unstarted:
	}
	return because(proto.PhaseRollingBack, r.Reason, "%s", r.Message), true, nil
}
