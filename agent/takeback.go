package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// awaitsSomebody reports whether d goes on when somebody, or the clock, lets it: it
// is held, staged, or armed for a boot that has not come. Somebody on the host may
// take it back.
func awaitsSomebody(d deployment.Deployment, boot string) bool {
	return d.Fetched() && d.Way == deployment.WayHold || d.Phase == proto.PhaseStaged || d.AwaitsBoot(boot)
}

// takesBack is the command that takes back d, which waits on a host where p is proven:
// to ask once more for a rollback does not, but to ask for what is proven does.
func takesBack(d deployment.Deployment, p deployment.Proven) string {
	if d.Plain {
		return fmt.Sprintf("kedge-agent rollback --to %s", p.Generation)
	}
	return "kedge-agent rollback"
}

// isBack reports whether d ended on p because somebody on the host wanted that, and
// nothing was proven since: who asks once more may not have heard of it. What a way
// back overtook that never began is not that.
func isBack(d deployment.Deployment, p deployment.Proven) bool {
	switch {
	case d.Reason != proto.ReasonRolledBackByHand || d.Proven.Toplevel != p.Toplevel || !d.Proven.Since.Equal(p.Since):
		return false
	case d.Phase == proto.PhaseSuperseded: // as takeBack leaves what was held or staged
		return d.Way == deployment.WayHold || slices.ContainsFunc(d.History, func(s deployment.Step) bool { return s.Phase == proto.PhaseStaged })
	}
	return d.Phase == proto.PhaseRolledBack || d.Phase == proto.PhaseInconclusive
}

// takeBack ends a deployment that awaits somebody, and keeps its system away. The
// running system is not touched; what the boot loader was told of is left to the
// transaction.
func (a *Agent) takeBack(ctx context.Context, waiting deployment.Deployment, r control.RollBackRequest) (proto.DeploymentStatus, error) {
	why := deployment.Step{Phase: proto.PhaseSuperseded, Reason: proto.ReasonRolledBackByHand, Message: statefile.Recall{By: r.By, Reason: r.Reason}.String()}
	if waiting.Phase == proto.PhaseArmed {
		why.Phase = proto.PhaseRollingBack
	}
	taken := waiting
	err := a.ask(ctx, ask{do: func(context.Context) error {
		a.stopHooks() // those that drain, if they do
		return a.edit(func(on deployment.Deployment) (_ deployment.Deployment, err error) {
			if on.ID != waiting.ID || on.Phase != waiting.Phase {
				return on, fmt.Errorf("deployment %s went on meanwhile: ask again", on.ID)
			}
			why.Time = a.Now()
			if taken, err = on.Advance(why); err != nil || !taken.Terminal() {
				return taken, err
			}
			return taken, a.Files.Quarantine(on.Toplevel, why.Reason, why.Time)
		})
	}})
	if err != nil {
		return proto.DeploymentStatus{}, err
	}
	a.Log.InfoContext(ctx, "taken back", append([]any{"by", r.By, "deployment", waiting.ID}, because(r.Reason)...)...)
	return taken.Status(), nil
}

// wayByHand says how somebody on the host goes to a system: at once, unless that
// must not be, or a reboot is wanted.
func (c Config) wayByHand(f Fetched, reboot bool) (deployment.Way, error) {
	w := deployment.WaySwitch
	if len(f.Inhibitors) > 0 {
		w = c.Policy.Inhibited
	}
	if reboot {
		w = deployment.WayReboot
	}
	if w == deployment.WayHold {
		return "", &closure.Rejection{Reason: proto.ReasonRebootNeeded, Err: errors.New(
			inhibitedMessage(f.Inhibitors) + ": run `kedge-agent rollback --reboot`, with --to if you did, to go there by a reboot")}
	}
	if !w.Staged() {
		return w, nil
	}
	return w, c.bootable(f)
}
