package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// examineTimeout bounds the look at a system that is here: the reconciler may wait.
const examineTimeout = 30 * time.Second

// RollBack implements [control.Agent]. What it goes back to goes the way of
// every deployment from its activation on.
func (a *Agent) RollBack(ctx context.Context, r control.RollBackRequest) (proto.DeploymentStatus, error) {
	seen, err := a.lookBack()
	if err != nil {
		return proto.DeploymentStatus{}, err
	}
	waits := awaitsSomebody(seen.record, a.Identity.BootID)
	switch plain := r.To == 0 && !r.Reboot; {
	case plain && seen.record.Plain && !seen.record.Terminal() && (waits || !seen.record.InTransaction()):
		return seen.record.Status(), nil // who asks once more may not have heard of it
	case waits && (plain || !r.Reboot && a.isProven(r.To, seen.proven)):
		return a.takeBack(ctx, seen.record, r)
	}
	d, err := a.wayBack(seen, r)
	if err != nil {
		return proto.DeploymentStatus{}, err
	}
	d.Origin, d.Reason, d.Plain = deployment.OriginHand, proto.ReasonRolledBackByHand, r.To == 0 && !r.Reboot
	d.Message = statefile.Recall{By: r.By, Reason: r.Reason}.String()
	d, found, err := a.prepare(ctx, d)
	if err != nil {
		return proto.DeploymentStatus{}, err
	}
	if !d.Restore {
		if d.Way, err = a.Config.wayByHand(found, r.Reboot); err != nil {
			return proto.DeploymentStatus{}, fmt.Errorf("go back: %w", err)
		}
	}
	a.Log.InfoContext(ctx, "goes back", append([]any{"by", r.By, "deployment", d.ID, "toplevel", d.Toplevel}, because(r.Reason)...)...)
	return d.Status(), a.ask(ctx, ask{do: func(ctx context.Context) error { return a.replace(ctx, seen, d) }})
}

// isProven reports whether a generation is the one that is proven, or another one of the
// same system.
func (a *Agent) isProven(g proto.Generation, p deployment.Proven) bool {
	if g == 0 || p.Toplevel.IsZero() {
		return false
	}
	registered, err := a.Systems.Registered(g)
	return g == p.Generation || err == nil && registered == p.Toplevel
}

// A lookback is what the way back is chosen by.
type lookback struct {
	record  deployment.Deployment
	proven  deployment.Proven
	systems proto.Systems
}

func (a *Agent) lookBack() (p lookback, err error) {
	var errs [3]error
	p.record, errs[0] = a.Files.Deployment()
	p.proven, errs[1] = a.Files.Proven()
	p.systems, errs[2] = a.Systems.Systems()
	return p, errors.Join(errs[:]...)
}

// wayBack returns the deployment that goes back: to the generation, or without
// one to what is proven and does not run, or not in its specialisation, or else to
// what was proven before, unless the last deployment went back for somebody already.
func (a *Agent) wayBack(p lookback, r control.RollBackRequest) (d deployment.Deployment, err error) {
	to := r.To
	d.Proven = p.proven
	d = Observation{Record: p.record, Proven: p.proven, Systems: p.systems, BootID: a.Identity.BootID}.after(d)
	switch {
	case p.record.AwaitsBoot(a.Identity.BootID):
		return d, fmt.Errorf("deployment %s waits for the next boot: take that back first, by `%s`", p.record.ID, takesBack(p.record, p.proven))
	case p.record.InTransaction(), p.record.Parked && !p.record.Terminal():
		return d, fmt.Errorf("deployment %s is under way: ask again", p.record.ID)
	case p.proven.Toplevel.IsZero():
		return d, fmt.Errorf("%w: no system was proven yet", control.ErrNothing)
	case drifted(p.systems, p.proven):
		if to != 0 || r.Reboot {
			return d, errors.New("what was proven does not run, or is not registered: go back to that first, without --to and --reboot")
		}
		return restoring(d, p.systems)
	case to == 0 && !r.Reboot && p.systems.Current != p.proven.System():
		return restoring(d, p.systems)
	case to != 0:
		if d.Toplevel, err = a.Systems.Registered(to); err != nil {
			return d, err
		}
		if d.Toplevel.IsZero() {
			return d, fmt.Errorf("%w: the system profile has no generation %s", control.ErrNothing, to)
		}
		if before := p.proven.Previous; d.Toplevel == before.Toplevel {
			d.Revision = before.Revision
		}
	case !r.Reboot && isBack(p.record, p.proven): // which --reboot never asks for
		did := "was taken back"
		if p.record.Restore {
			did = "brought back what was proven"
		}
		return d, fmt.Errorf("%w: deployment %s %s already; name a generation with --to to go further", control.ErrNothing, p.record.ID, did)
	default:
		before := p.proven.Previous
		if d.Toplevel, d.Revision = before.Toplevel, before.Revision; d.Toplevel.IsZero() {
			return d, fmt.Errorf("%w: it is not known what was proven before %s; name a generation with --to", control.ErrNothing, p.proven.Toplevel)
		}
	}
	d.Back = running(p.systems)
	if d.Toplevel == p.proven.Toplevel {
		return d, fmt.Errorf("%w: %s runs already", control.ErrNothing, d.Toplevel)
	}
	return d, nil
}

// restoring makes d bring back what was proven, in the specialisation that it was
// judged in.
func restoring(d deployment.Deployment, s proto.Systems) (deployment.Deployment, error) {
	d.Restore, d.Back = true, d.Proven.Specialisation
	if !drifted(s, d.Proven) {
		d.Toplevel, d.Specialisation = d.Proven.Toplevel, running(s)
		return d, nil
	}
	var err error
	if d.Toplevel, err = instead(s, d.Proven); err != nil {
		return d, err
	}
	if d.Toplevel == s.Profile {
		d.Specialisation = running(s)
	}
	d.Registered = true // until it is back, boot default and profile may name anything
	return d, nil
}

// prepare looks whether d can be gone to, and returns its record, fetched, and what
// was found; or, with the error that says why not, the record accepted.
func (a *Agent) prepare(ctx context.Context, d deployment.Deployment) (_ deployment.Deployment, found Fetched, err error) {
	d.ID, d.Attempt = string(d.Origin)+"-"+strings.ToLower(rand.Text()[:idLength]), 1
	d.Agent, d.ActivationTimeout, d.Boots = a.Identity.Executable, a.Config.Activation.Timeout, a.Config.Reboot.boots()
	d.Started = a.Now()
	d, err = d.Advance(deployment.Step{Phase: proto.PhaseAccepted, Time: d.Started, Reason: d.Reason, Message: d.Message})
	if err != nil {
		return d, found, err
	}
	target := d.Toplevel
	if d.Restore {
		target = d.Proven.Toplevel
	}
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	if found, err = a.Fetcher.Examine(ctx, target); err != nil {
		return d, found, fmt.Errorf("go back: %w", err)
	}
	d.Probation, d.RollbackProbation = found.Probation, a.Config.Probation.probation()
	d.Reboot, d.Inhibitors = found.Reboot, found.Inhibitors
	if d.Restore {
		d.RollbackProbation = found.Probation
	} else {
		d.Specialisation = found.Specialisation
	}
	d, err = d.Advance(deployment.Step{Phase: proto.PhaseFetched, Time: a.Now()})
	return d, found, err
}

// replace puts d into the place of the record that was seen, and of a deployment
// that waits. Only the reconciler may call it.
func (a *Agent) replace(ctx context.Context, seen lookback, d deployment.Deployment) error {
	now, err := a.lookBack()
	if err != nil {
		return err
	}
	if now.record.ID != seen.record.ID || now.record.InTransaction() || now.proven.Toplevel != seen.proven.Toplevel || now.systems != seen.systems {
		return errors.New("the host has changed meanwhile: ask again")
	}
	if !now.record.Terminal() {
		if now.record, err = a.giveUp(ctx, now.record, d); err != nil {
			return err
		}
	}
	if waits, err := a.owesHooks(ctx, Observation{Record: now.record}, Decision{Action: ActionRest}); waits || err != nil {
		return errors.Join(err, fmt.Errorf("the hooks that follow deployment %s have not ended: ask again", now.record.ID))
	}
	return a.edit(func(on deployment.Deployment) (deployment.Deployment, error) {
		if on.ID != now.record.ID || !on.Terminal() {
			return on, fmt.Errorf("deployment %s went on meanwhile: ask again", on.ID)
		}
		d.Leased = a.owesLease(on)
		return d, nil
	})
}

// giveUp ends a deployment that waits, for d, and returns it.
func (a *Agent) giveUp(ctx context.Context, waiting, d deployment.Deployment) (ended deployment.Deployment, err error) {
	a.stopFetch()
	a.stopHooks()
	if err := a.advance(waiting.ID, deployment.Step{Phase: proto.PhaseSuperseded, Reason: d.Reason, Message: d.Message}); err != nil {
		return ended, err
	}
	if ended, err = a.Files.Deployment(); err != nil {
		return ended, err
	}
	a.remember(ctx, ended)
	return ended, nil
}
