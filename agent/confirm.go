package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// Confirm implements [control.Agent].
func (a *Agent) Confirm(ctx context.Context, by string) (proto.DeploymentStatus, error) {
	d, err := a.Files.Deployment()
	if err != nil {
		return proto.DeploymentStatus{}, err
	}
	if !d.Fetched() && d.Phase != proto.PhaseStaged {
		return proto.DeploymentStatus{}, fmt.Errorf("%w: no deployment waits to go on", control.ErrNothing)
	}
	all := a.look().inhibitors.with(a.Files.Vetoes())
	vetoes := all.live
	if d.Phase == proto.PhaseStaged {
		vetoes = all.reboot
	}
	if err := a.Files.Confirm(statefile.Confirmation{Deployment: d.ID, By: by, At: a.Now()}); err != nil {
		return proto.DeploymentStatus{}, err
	}
	message := "confirmed by " + by
	if len(vetoes) > 0 {
		message += ", in spite of " + everybody(vetoes)
	}
	a.Log.InfoContext(ctx, "confirmed", "by", by, "deployment", d.ID)
	return d.Status(), errors.Join(a.note(of(d, proto.ReasonConfirmed, message)), a.ask(ctx, ask{}))
}

// confirmed reports whether somebody said that d may go on, and whether that was
// since it is staged. What cannot be read says nothing.
func (a *Agent) confirmed(ctx context.Context, d deployment.Deployment) (confirmed, reboot bool) {
	c, err := a.Files.Confirmation()
	a.tell(ctx, slog.LevelWarn, "the confirmation cannot be read; what waits goes on waiting", err)
	confirmed = err == nil && d.ID != "" && c.Deployment == d.ID
	return confirmed, confirmed && d.Phase == proto.PhaseStaged && !c.At.Before(d.Since)
}

// of is an event about d that is no step of it.
func of(d deployment.Deployment, why proto.Reason, message string) proto.Event {
	return proto.Event{
		Deployment: d.ID, Serial: d.Serial, Revision: d.Revision, Toplevel: d.Toplevel, Reason: why, Message: message,
	}
}
