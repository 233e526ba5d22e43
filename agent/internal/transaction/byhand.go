package transaction

import (
	"context"
	"fmt"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/health"
	"kedge/proto"
)

// recalled says why somebody on the host wants a deployment to go back.
type recalled struct{ why string }

// Error implements error.
func (r *recalled) Error() string { return "somebody on the host wants it back: " + r.why }

// judgeUnlessRecalled judges the new system until ctx ends. If somebody wants it
// back meanwhile, that ends the judgement, with a [*recalled].
func (t *transaction) judgeUnlessRecalled(ctx context.Context) (health.Judgement, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	asked := make(chan string, 1)
	go func() {
		why := t.Host.Recalled(ctx, t.d.ID)
		if why != "" {
			stop()
		}
		asked <- why
	}()
	j, err := t.Host.Judge(ctx, t.subject(t.d.System()), t.d.Probation, t.d.Baseline())
	stop()
	if why := <-asked; why != "" {
		return health.Judgement{}, &recalled{why: why}
	}
	return j, err
}

// beginRestore is begin, for what was proven and does not run any more: there is
// no way but back to it.
func (t *transaction) beginRestore(ctx context.Context) (deployment.Step, error) {
	if _, err := t.look(t.ours); err != nil {
		return deployment.Step{}, err
	}
	if t.d.Respecialises() { // as a rule early in a boot, which is to end first, or never does
		if _, err := t.up(ctx); err != nil {
			return deployment.Step{}, err
		}
	}
	if err := t.Store.Hold(t.d.Toplevel); err != nil {
		return deployment.Step{}, err
	}
	d, err := t.note(ctx, t.d)
	if err != nil {
		return deployment.Step{}, err
	}
	t.d = d // saved with the step
	return because(proto.PhaseRollingBack, d.Reason, "%s", d.Message), nil
}

// leave keeps the system away that somebody went back from. What keeps it from
// that is told, and no reason not to commit.
func (t *transaction) leave(ctx context.Context, message string) string {
	left := t.d.Proven.Toplevel
	if !t.d.Left() {
		return message
	}
	err := t.Store.Quarantine(left, proto.ReasonRolledBackByHand, t.Now())
	if err == nil {
		return message
	}
	t.Log.ErrorContext(ctx, "the system that was left cannot be quarantined", "deployment", t.d.ID, "toplevel", left, "err", err)
	return fmt.Sprintf("%s cannot be quarantined: %v", left, err)
}
