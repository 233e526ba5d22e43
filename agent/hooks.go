package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/statefile"
	"kedge/internal/durable"
	"kedge/proto"
)

// A Hooks runs the operator's programs; hook.Runner is one. Run returns when
// nothing of them is left, and soon after ctx's end whatever is left: who stops them
// waits for that.
type Hooks interface {
	Run(ctx context.Context, c hook.Call) error
}

// A hookRun is the running of one point's hooks for one deployment, beside the
// reconciler.
type hookRun struct {
	call   hook.Call
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
}

type hookResult struct {
	call hook.Call
	err  error
}

// A followedCursor remembers, durably, which deployment's end was followed by
// its hooks.
type followedCursor struct {
	file durable.Document[followedEnd]
	last followedEnd
}

type followedEnd struct {
	Deployment string `json:"deployment"`
}

func newFollowedCursor(files statefile.Dir) followedCursor {
	return followedCursor{file: durable.Document[followedEnd]{Path: filepath.Join(files.State, "hooks.json"), Format: 1}}
}

// read reads what an earlier process remembered, unless this one knows better. What
// cannot be understood is as for [statefile.Remembered].
func (c *followedCursor) read() error {
	if c.last.Deployment != "" {
		return nil
	}
	last, err := statefile.Remembered(c.file)
	if err != nil {
		return err
	}
	c.last = last
	return nil
}

// write remembers d: in this process in any case, for later ones if it can.
func (c *followedCursor) write(d deployment.Deployment) error {
	c.last.Deployment = d.ID
	return c.file.Write(c.last)
}

// hooks returns the call of point's hooks for d.
func (a *Agent) hooks(point hook.Point, d deployment.Deployment) hook.Call {
	return hook.Call{Point: point, Hooks: a.Config.Hooks.at(point), Host: a.Config.Host, Deployment: d}
}

// runHooks runs them, and counts a failure.
func (a *Agent) runHooks(ctx context.Context, c hook.Call) error {
	if len(c.Hooks) == 0 {
		return nil
	}
	err := a.Hooks.Run(ctx, c)
	if err != nil && ctx.Err() == nil {
		a.change(func(v *view) { v.hookFailures[c.Point]++ })
	}
	return err
}

// fetchAfterHooks is the work of one fetch, when its turn has come.
func (a *Agent) fetchAfterHooks(ctx context.Context, d deployment.Deployment, o closure.FetchOrder) (Fetched, error) {
	if err := a.runHooks(ctx, a.hooks(hook.PreFetch, d)); err != nil {
		return Fetched{}, &closure.Rejection{Reason: proto.ReasonHookRefused, Err: err}
	}
	return a.Fetcher.Fetch(ctx, o)
}

// beforeActivation sees to it that the hooks run that may refuse d's activation.
// It reports whether they have not all agreed yet.
func (a *Agent) beforeActivation(ctx context.Context, d deployment.Deployment) (waits bool, err error) {
	c := a.hooks(hook.PreActivate, d)
	if len(c.Hooks) == 0 || d.HooksAgreed {
		return false, nil
	}
	return true, a.startHooks(ctx, c)
}

// afterEnd sees to it that the hooks run that follow d's end. It reports whether
// they have not all ended yet: until then the record must not be replaced.
func (a *Agent) afterEnd(ctx context.Context, d deployment.Deployment) (waits bool, err error) {
	c := a.hooks(hook.After(d.Phase), d)
	if len(c.Hooks) == 0 || a.followed.last.Deployment == d.ID {
		return false, nil
	}
	return true, a.startHooks(ctx, c)
}

// startHooks runs c's hooks, unless that is under way. The result comes by
// a.hooked. It fails, once, if the last result could not be recorded.
func (a *Agent) startHooks(ctx context.Context, c hook.Call) error {
	if err := a.unrecorded; err != nil {
		a.unrecorded = nil
		return err
	}
	if r := a.hooking; r != nil && r.call.Point == c.Point && r.call.Deployment.ID == c.Deployment.ID {
		return nil
	}
	a.stopHooks()
	ctx, cancel := context.WithCancel(ctx)
	run := &hookRun{call: c, cancel: cancel, done: make(chan struct{})}
	a.hooking = run
	a.Log.InfoContext(ctx, "hooks run", "hook", c.Point, "deployment", c.Deployment.ID)
	go func() {
		defer close(run.done)
		err := a.runHooks(ctx, c)
		if ctx.Err() != nil {
			return // what was cut short has no result
		}
		select {
		case a.hooked <- hookResult{call: c, err: err}:
		case <-ctx.Done():
		}
	}()
	return nil
}

// stopHooks ends the hooks under way, if any, and waits for their end.
func (a *Agent) stopHooks() {
	if a.hooking == nil {
		return
	}
	a.hooking.cancel()
	<-a.hooking.done
	a.hooking = nil
	select {
	case <-a.hooked: // of those that were stopped
	default:
	}
}

// endHooks records what hooks came to. If that cannot be recorded, those before
// an activation run again, but after a pause; those after an end run again in
// the next process.
func (a *Agent) endHooks(ctx context.Context, r hookResult) {
	a.hooking.cancel()
	<-a.hooking.done
	a.hooking = nil
	if r.err != nil {
		a.Log.WarnContext(ctx, "hook failed", "hook", r.call.Point, "deployment", r.call.Deployment.ID, "err", r.err)
	}
	if err := a.keepResult(r); err != nil {
		a.unrecorded = fmt.Errorf("record what hooks of deployment %s came to: %w", r.call.Deployment.ID, err)
	}
}

func (a *Agent) keepResult(r hookResult) error {
	switch r.call.Point {
	case hook.PreActivate, hook.PreReboot:
		return a.keepAgreed(r)
	case hook.RebootCancelled:
		return errors.Join(a.noteFailure(r), a.keepUndrained(r.call.Deployment.ID))
	case hook.PreFetch, hook.PostCommit, hook.PostRollback:
	}
	return errors.Join(a.noteFailure(r), a.followed.write(r.call.Deployment))
}

// keepAgreed is for hooks that may refuse an activation, or a reboot.
func (a *Agent) keepAgreed(r hookResult) error {
	id := r.call.Deployment.ID
	if r.err != nil {
		return a.advance(id, deployment.Step{Phase: proto.PhaseFailed, Reason: proto.ReasonHookRefused, Message: r.err.Error()})
	}
	return a.edit(func(d deployment.Deployment) (deployment.Deployment, error) {
		switch {
		case d.ID == id && d.Phase == proto.PhaseFetched:
			d.HooksAgreed = true
		case d.ID == id && d.Phase == proto.PhaseStaged:
			d.Drained = true
		default:
			return d, errOvertaken
		}
		return d, nil
	})
}

// noteFailure tells that a hook failed, which changes nothing.
func (a *Agent) noteFailure(r hookResult) error {
	if r.err == nil {
		return nil
	}
	return a.note(of(r.call.Deployment, proto.ReasonHookFailed, r.err.Error()))
}
