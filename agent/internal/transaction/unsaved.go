package transaction

import (
	"context"
	"errors"
	"fmt"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// A SaveError says that a record could not be saved: it still says what it said before.
type SaveError struct {
	Deployment string // its ID
	Err        error
}

// Error implements error.
func (e *SaveError) Error() string { return fmt.Sprintf("save deployment %s: %v", e.Deployment, e.Err) }

// Unwrap returns why it could not be saved.
func (e *SaveError) Unwrap() error { return e.Err }

// live reports whether the new system may run in p, and nothing is decided.
func live(p proto.Phase) bool { return p == proto.PhaseActivating || p == proto.PhaseProbation }

// Astray reports whether d, whose record cannot be saved, keeps the host from what is
// proven, and [BringBack] would change that: something else was activated, or was begun
// to be, in this boot, while nothing but the proven system is registered. A trial boot,
// and what is registered, are left to those who can save what they do.
func Astray(d deployment.Deployment, o Options) (bool, error) {
	if d.Registered || d.Trial || !live(d.Phase) && d.Phase != proto.PhaseRollingBack {
		return false, nil
	}
	t := newRun(d, o)
	s, err := t.look(t.ours)
	if err != nil {
		return false, err
	}
	// A boot led to the proven system: no other is the boot default.
	rebooted, err := t.rebooted()
	if err != nil || rebooted {
		return false, err
	}
	untouched := t.idle(s, rebooted) && s.Current == d.BackTo()
	return !untouched && !t.triedByHand(s, rebooted) && !t.runs(d.BackTo(), s, rebooted), nil
}

// BringBack activates what d goes back to, and restarts the agent, without a word of it in
// the record, which cannot be saved. It is for one that is [Astray], and may be repeated.
// Whoever begins it must see to it that each [Run] over d from then on, also of another
// process, has [Options].Undone: else what was left would be activated once more.
//
// It returns nil once that system runs. What it is like is for the way back to judge, when
// that can be recorded.
func BringBack(ctx context.Context, d deployment.Deployment, o Options) error {
	t := newRun(d, o)
	r, err := t.bring(ctx, effort{
		system: d.BackTo(), count: func(d *deployment.Deployment) *int { return &d.RollbackActivations }, most: maxReactivations,
		decided: true, unrecorded: true,
	})
	if err != nil {
		return fmt.Errorf("activate the proven system: %w", err)
	}
	if r.Effect != activation.Active {
		return t.resort(ctx, r.Message)
	}
	if err := bounded(ctx, agentTimeout, t.Host.RestartAgent); err != nil {
		t.Log.WarnContext(ctx, "the proven system's agent could not be restarted", "deployment", d.ID, "err", err)
	}
	return nil
}

// resort boots the host, if that is its last resort, as what is proven cannot be activated.
// It cannot be noted, and need not be: after a boot nothing is [Astray].
func (t *transaction) resort(ctx context.Context, down string) error {
	failed := fmt.Errorf("the proven system could not be activated: %s", down)
	if !t.d.Boots.LastResort || t.d.RollbackBoots > 0 {
		return failed
	}
	t.Log.ErrorContext(ctx, "the host reboots as a last resort, without the record", "deployment", t.d.ID, "err", down)
	if err := t.Store.Guard(t.d.Agent); err != nil {
		t.Log.WarnContext(ctx, "no transaction runs early in the next boot; its agent goes on", "deployment", t.d.ID, "err", err)
	}
	return errors.Join(failed, t.goDown(ctx))
}
