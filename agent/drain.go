package agent

import (
	"context"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/proto"
)

// beforeReboot sees to it that the hooks run that may put d's reboot off, such as
// those that drain the host. It reports whether they have not all agreed yet. That
// they began is on the disk before they do: what they do is undone if no reboot
// follows.
func (a *Agent) beforeReboot(ctx context.Context, d deployment.Deployment) (waits bool, err error) {
	c := a.hooks(hook.PreReboot, d)
	if len(c.Hooks) == 0 || d.Drained && a.drained(d) {
		return false, nil
	}
	if !a.drained(d) {
		err := a.edit(func(on deployment.Deployment) (deployment.Deployment, error) {
			if on.ID != d.ID || on.Phase != proto.PhaseStaged {
				return on, errOvertaken
			}
			on.DrainedIn, on.Drained = a.Identity.BootID, false
			return on, nil
		})
		if err != nil {
			return true, err
		}
	}
	return true, a.startHooks(ctx, c)
}

// drained reports whether the host may be drained for d: a boot undoes that, too.
func (a *Agent) drained(d deployment.Deployment) bool {
	return d.DrainedIn != "" && d.DrainedIn == a.Identity.BootID
}

// afterDrain sees to it that what was drained for o's record is undone where d is
// not to reboot. It reports whether that has not ended yet: until then nothing new
// is begun, and the record must not be replaced.
func (a *Agent) afterDrain(ctx context.Context, o Observation, d Decision) (waits bool, err error) {
	r := o.Record
	if !a.drained(r) {
		return false, nil
	}
	c := a.hooks(hook.RebootCancelled, r)
	begun := a.hooking != nil && a.hooking.call.Point == c.Point && a.hooking.call.Deployment.ID == r.ID
	cancelled := r.Terminal() || r.Phase == proto.PhaseStaged && d.Action == ActionRest && !a.awaitsWord()
	switch {
	case !cancelled && !begun:
		return false, nil
	case len(c.Hooks) == 0:
		a.stopHooks() // those that drain, if they still do
		return false, a.keepUndrained(r.ID)
	}
	if r.Drained { // not any more, however far they get
		if err := a.keepHalfDrained(r.ID); err != nil {
			return true, err
		}
	}
	return true, a.startHooks(ctx, c)
}

// wordPatience is how long an agent that has begun waits to be told what it is to run,
// before it takes a reboot that it cannot go on with for one that is not to come.
const wordPatience = 2 * time.Minute

// awaitsWord reports whether this process, which began not long ago, has not heard yet
// what the host is to run: a drained host stays so over a new start of the agent.
func (a *Agent) awaitsWord() bool {
	return !a.look().read && a.Now().Sub(a.begun).Abs() < wordPatience
}

// keepUndrained notes that nothing is drained any more for the deployment called id:
// before its next try to reboot the hooks run anew.
func (a *Agent) keepUndrained(id string) error {
	return a.edit(func(d deployment.Deployment) (deployment.Deployment, error) {
		if d.ID != id {
			return d, errOvertaken
		}
		d.DrainedIn, d.Drained = "", false
		return d, nil
	})
}

// keepHalfDrained notes that what was drained for the deployment called id is being
// undone: before its next try to reboot the hooks run anew.
func (a *Agent) keepHalfDrained(id string) error {
	return a.edit(func(d deployment.Deployment) (deployment.Deployment, error) {
		if d.ID != id {
			return d, errOvertaken
		}
		d.Drained = false
		return d, nil
	})
}

// owesHooks sees to it that the hooks run that o's record has left to be run, one
// point after the other. It reports whether they have not all ended yet.
func (a *Agent) owesHooks(ctx context.Context, o Observation, d Decision) (waits bool, err error) {
	if waits, err := a.afterDrain(ctx, o, d); waits || err != nil {
		return waits, err
	}
	return a.afterEnd(ctx, o.Record)
}
