package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/rollout"
	"kedge/internal/nix"
	"kedge/proto"
)

// publishAtOnce is how many hosts are published for at the same time: most of
// each publication is waiting for disks.
const publishAtOnce = 16

// round carries out what is to be done now, until there is nothing left. What
// cannot be done for one host is its problem, shown there, and in the error. It waits
// for another round that is under way, which may be long, until ctx ends.
func (r *runner) round(ctx context.Context) error {
	select {
	case r.rounds <- struct{}{}:
		defer func() { <-r.rounds }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another round: %w", context.Cause(ctx))
	}
	if !r.fleet.IsCaughtUp() {
		return nil // it must not take a whole fleet for silent that it has not heard yet
	}
	var problems []error
	for more := true; more && len(problems) == 0; {
		more, problems = r.step(ctx)
	}
	r.lock()
	defer r.unlock()
	if r.unsaved {
		if err := r.save(r.rollout); err != nil {
			problems = append(problems, err)
		}
	}
	r.show()
	return joined(problems)
}

// toldProblems is how many hosts are named that cannot be published for: a disk that is
// full is the problem of all.
const toldProblems = 5

// joined returns problems as one error, which is not as long as the fleet is large.
func joined(problems []error) error {
	if more := len(problems) - toldProblems; more > 0 {
		problems = append(problems[:toldProblems:toldProblems], fmt.Errorf("and %d more", more))
	}
	return errors.Join(problems...)
}

// step carries out what is to be done now, and reports whether there was anything.
func (r *runner) step(ctx context.Context) (more bool, problems []error) {
	r.lock()
	defer r.unlock()
	if r.rollout.ID == "" {
		return false, nil
	}
	if err := r.late(ctx); err != nil {
		return false, []error{err}
	}
	r.seen = r.observe()
	actions := rollout.Next(r.rollout, r.seen, r.now())
	if r.unsaved && len(actions) > 0 && actions[0].Kind == rollout.Publish {
		if err := r.save(r.rollout); err != nil { // who goes with the wave is decided once
			return false, []error{err}
		}
	}
	if len(actions) == 0 {
		return false, nil
	}
	r.unsaved = true
	return true, r.carryOut(ctx, actions)
}

// save makes next, which is the rollout, or what it becomes, durable. After an error the
// rollout is what it was, which is on the disk once a later save succeeds. The caller holds
// r.mu.
func (r *runner) save(next rollout.Rollout) error {
	if err := r.saver.Save(next); err != nil {
		r.unsaved = r.rollout.ID != "" // next may be on the disk all the same
		return fmt.Errorf("save rollout %s: %w", next.ID, err)
	}
	r.rollout, r.unsaved = next, false
	r.latency.Store(&next.Latency)
	return nil
}

// carryOut does what actions say: first outside, for all hosts side by side, and
// then in the rollout, in order. Repeating it after a crash in between does no
// harm: the fleet then shows what was published. As soon as somebody else wants r.mu,
// which the caller holds, no further publication is begun: what comes next is to be
// decided anew.
func (r *runner) carryOut(ctx context.Context, actions []rollout.Action) []error {
	results := make([]result, len(actions))
	var g errgroup.Group
	g.SetLimit(publishAtOnce)
	for i, a := range actions {
		if a.Kind != rollout.Publish {
			continue
		}
		if i > 0 && r.wanted.Load() > 0 {
			actions = actions[:i]
			break
		}
		g.Go(func() error {
			results[i].serial, results[i].err = r.publish(ctx, a)
			return nil
		})
	}
	_ = g.Wait() // every error is in its result
	var problems []error
	var done []rollout.Result
	for i, a := range actions {
		if err := results[i].err; err != nil {
			if !r.refuse(ctx, a, err) {
				problems = append(problems, err)
			}
			continue
		}
		if a.Kind == rollout.Publish || a.Kind == rollout.Keep {
			r.fleet.Solved(a.Host, r.rollout.Revision)
		}
		done = append(done, rollout.Result{Action: a, Serial: results[i].serial})
	}
	next, err := r.rollout.Apply(done, r.now())
	if err != nil {
		return append(problems, err)
	}
	r.rollout = next
	for _, d := range done {
		r.tell(ctx, d.Action)
	}
	return problems
}

// result is what came of an action outside the rollout.
type result struct {
	serial proto.Serial
	err    error
}

// refuse notes that a host could not be published for, and reports whether that is not
// to be tried again: then nobody waits for the host any more. The caller holds r.mu.
func (r *runner) refuse(ctx context.Context, a rollout.Action, err error) bool {
	r.fleet.Trouble(a.Host, &proto.Problem{
		Reason: publishReason(err), Message: err.Error(), Revision: r.rollout.Revision, Time: r.now(),
	})
	if !r.isFinal(err) {
		return false
	}
	r.log.WarnContext(ctx, "host is given nothing", "host", a.Host, "rollout", r.rollout.ID, "err", err)
	if errors.Is(err, publish.ErrWithdrawn) { // whatever is built again
		r.rollout = r.rollout.Refuse(a.Host, err.Error())
		return true
	}
	if r.gone == nil {
		r.gone = map[rollout.Target]string{}
	}
	r.gone[rollout.Target{Host: a.Host, Toplevel: a.Toplevel}] = err.Error()
	return true
}

// isFinal reports whether what could not be published because of err is not to be tried
// again. What is gone of a revision that goes out is built again first; what hosts had
// before is not.
func (r *runner) isFinal(err error) bool {
	built := r.releases != nil
	return errors.Is(err, publish.ErrWithdrawn) || errors.Is(err, cache.ErrGone) && (built || r.goesBack())
}

// goesBack reports whether hosts get back what they had before, or what an earlier
// revision gave them.
func (r *runner) goesBack() bool {
	return r.rollout.State == rollout.Reverting || !r.rollout.Instead.IsZero()
}

// publish publishes what an action says, under the release signed for it.
func (r *runner) publish(ctx context.Context, a rollout.Action) (proto.Serial, error) {
	signed, err := r.releaseFor(ctx, a)
	if err != nil {
		return 0, err
	}
	serial, err := r.publisher.Publish(ctx, proto.ServiceName, publish.Order{Release: signed, Mode: proto.ModeSwitch})
	if err != nil {
		return 0, err
	}
	changes := "not known"
	if c := r.fleet.changes(a.Host, a.Toplevel); c != nil {
		changes = c.String()
	}
	r.log.InfoContext(ctx, "published", "host", a.Host, "serial", serial, "toplevel", a.Toplevel,
		"revision", r.rollout.Revision.String(), "rollout", r.rollout.ID, "changes", changes)
	return serial, nil
}

// releaseFor returns the release to publish. A rollout that outlived its controller has
// none at hand: it is signed again. What a host had before is released again, as what
// it was then.
func (r *runner) releaseFor(ctx context.Context, a rollout.Action) (proto.Envelope, error) {
	rev := r.rollout.Revision
	if r.goesBack() {
		f, known, err := r.publisher.Former(a.Host, a.Toplevel, a.Release)
		if err != nil {
			return proto.Envelope{}, err
		}
		if known {
			return r.release(a.Host, a.Toplevel, f.Revision, f.Closure)
		}
		if r.rollout.State == rollout.Reverting {
			rev = proto.Revision{} // nobody knows any more
		}
	} else if signed, at := r.releases[a.Host]; at {
		return signed, nil
	}
	closure, err := r.closureOf(ctx, a)
	if err != nil {
		return proto.Envelope{}, err
	}
	return r.release(a.Host, a.Toplevel, rev, closure.Digest())
}

// provideTimeout is how long one toplevel may take to become fetchable: whoever acts on
// the rollout meanwhile waits for it. What was copied by then stays, and the next round
// goes on from there.
const provideTimeout = 2 * time.Minute

// closureOf returns the closure of what an action publishes. What an earlier rollout gave
// was built here, but may have been kept by nobody since: it is rooted and made fetchable
// again, as after its build. What a host had before the rollout is kept with it, and may
// have been built by others: that is not ours to sign.
func (r *runner) closureOf(ctx context.Context, a rollout.Action) (proto.Closure, error) {
	if r.rollout.Instead.IsZero() || r.rollout.State == rollout.Reverting {
		closures, err := r.closures.Closures(ctx, a.Toplevel)
		if err != nil {
			return nil, fmt.Errorf("list closure of %s: %w", a.Toplevel, err)
		}
		return closures[a.Toplevel], nil
	}
	if err := r.roots.Root(a.Host, a.Toplevel); err != nil {
		return nil, fmt.Errorf("keep %s from being collected: %w", a.Toplevel, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, provideTimeout, &cache.SlowError{After: provideTimeout})
	defer cancel()
	closures, err := r.closures.Provide(ctx, a.Toplevel)
	if err != nil {
		return nil, fmt.Errorf("make %s fetchable: %w", a.Toplevel, err)
	}
	return closures[a.Toplevel], nil
}

// observe returns the fleet as a rollout sees it: nobody is silent who could not be
// heard, for nobody waits for those who are; also if what they had said before was lost.
// The caller holds r.mu.
func (r *runner) observe() rollout.Fleet {
	f, now := rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{}, Since: r.heard()}, r.now()
	if h := r.holds.freeze(r.channel); h != nil && r.rollout.Instead.IsZero() {
		f.Frozen = h.text()
	}
	for _, v := range r.fleet.View().Hosts {
		h := rollout.Host{
			Toplevel: v.Want.Toplevel, Release: v.Want.Release, Serial: v.Want.Serial,
			Seen: v.Seen, Silent: v.Silent && now.Sub(later(v.Seen, f.Since)) > SilentAfter,
			Held: r.gone[rollout.Target{Host: v.Host, Toplevel: r.rollout.Hosts[v.Host].Toplevel}],
		}
		if held := r.holds.host(v.Host); held != nil {
			h.Held = held.text()
		}
		if others := r.claimed(v); others != "" {
			h.Held = others // whoever releases it
		}
		if v.Status != nil {
			h.Reported, h.Verdict = reported(*v.Status, v.Want)
			h.Retries, h.Defers = v.Status.Retries(), defers(*v.Status)
		}
		f.Hosts[v.Host] = h
	}
	return f
}

// claimed returns why a host gets nothing from the channel, though its rollout has it:
// another one claims the host by now. It is empty if none does.
func (r *runner) claimed(v proto.HostView) string {
	switch v.Channel {
	case r.channel:
		return ""
	case "":
		if channels := r.fleet.Claimants(v.Host); len(channels) > 1 {
			return (&disputedError{channels}).Error()
		}
		return "" // no channel has it any more, or that is not known yet
	}
	return "it follows the channel " + v.Channel
}

// listening returns since when hosts are listened to, for a connection that has been as
// it is since an instant: while there is none nobody's silence means anything.
func listening(started, now, since time.Time, connected bool) time.Time {
	if !connected {
		return now
	}
	return later(started, since)
}

// publishReason says in a word why something could not be published.
func publishReason(err error) proto.Reason {
	if nix.DiskFull(err) {
		return proto.ReasonDiskFull
	}
	if errors.Is(err, publish.ErrWithdrawn) {
		return proto.ReasonWithdrawn
	}
	if errors.Is(err, cache.ErrGone) {
		return proto.ReasonGone
	}
	return proto.ReasonRetrying
}
