package controller

import (
	"context"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// tell logs what was done if an operator would want to know, and leaves a trace of what
// the controller decided by itself. The caller holds r.mu.
func (r *runner) tell(ctx context.Context, a rollout.Action) {
	log := r.log.With("rollout", r.rollout.ID)
	wave := func() (name string) {
		if a.Wave < len(r.rollout.Waves) {
			name = r.rollout.Waves[a.Wave].Name
		}
		return name
	}
	switch a.Kind {
	case rollout.StartWave:
		log.InfoContext(ctx, "wave started", "wave", wave(), "hosts", len(a.Hosts), "canary", hostNames(a.Canary))
	case rollout.Redraw:
		log.WarnContext(ctx, "canary showed nothing, and others go before the wave", "wave", wave(), "canary", hostNames(a.Canary))
	case rollout.Widen:
		log.InfoContext(ctx, "canary went well", "wave", wave())
	case rollout.EndWave:
		log.InfoContext(ctx, "wave ended", "wave", wave())
	case rollout.Defer:
		log.InfoContext(ctx, "nobody waits for the host any more: it waits for something of its own", "wave", wave(), "host", a.Host)
	case rollout.Silence:
		log.WarnContext(ctx, "host fell silent", "wave", wave(), "host", a.Host, "offline", a.Offline)
	case rollout.Settle:
		log.InfoContext(ctx, "host settled", "host", a.Host, "verdict", a.Verdict)
	case rollout.Halt:
		log.WarnContext(ctx, "rollout halted", "wave", wave(), "why", a.Why)
		r.note(ctx, "rollout-halt", a.Why)
	case rollout.Revert:
		log.WarnContext(ctx, "rollout is taken back", "wave", wave(), "why", a.Why)
		r.note(ctx, proto.RolloutActRevert.Audit(), a.Why)
	case rollout.Finish:
		log.InfoContext(ctx, "rollout ended", "state", r.rollout.State)
	case rollout.Publish, rollout.Keep, rollout.Renew, rollout.Doubt: // who publishes says so; the others are no news
	}
}

// note leaves a trace of what the controller did with the rollout by itself. The caller
// holds r.mu.
func (r *runner) note(ctx context.Context, act proto.Act, why string) {
	r.audit(ctx, proto.AuditEntry{
		Time: r.now().UTC(), Actor: proto.ServiceName, Act: act, Revision: r.rollout.Revision, Message: r.rollout.ID + ": " + why,
	})
}
