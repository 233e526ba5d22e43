package controller

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"kedge/controller/internal/publish"
	"kedge/controller/internal/rollout"
	"kedge/internal/nix"
	"kedge/proto"
)

// publishAtOnce is how many hosts are published for at the same time: most of
// each publication is waiting for disks.
const publishAtOnce = 16

// round carries out what is to be done now for one rollout, until there is nothing left. What
// cannot be done for one host is its problem, shown there, and in the error. The
// caller holds r.mu.
func (r *runner) round(ctx context.Context, u *underway) error {
	var problems []error
	for len(problems) == 0 {
		actions := rollout.Next(u.rollout, r.observe(), r.now())
		if len(actions) == 0 {
			break
		}
		u.unsaved = true
		problems = r.carryOut(ctx, u, actions)
	}
	if u.unsaved {
		err := r.saver.Save(u.channel, u.rollout)
		if u.unsaved = err != nil; u.unsaved {
			problems = append(problems, fmt.Errorf("save rollout %s: %w", u.rollout.ID, err))
		}
	}
	return errors.Join(problems...)
}

// carryOut does what actions say: first outside, for all hosts side by side, and
// then in the rollout, in order. Repeating it after a crash in between does no
// harm: the fleet then shows what was published.
func (r *runner) carryOut(ctx context.Context, u *underway, actions []rollout.Action) []error {
	results := make([]result, len(actions))
	var g errgroup.Group
	g.SetLimit(publishAtOnce)
	for i, a := range actions {
		if a.Kind == rollout.Publish {
			g.Go(func() error {
				results[i].serial, results[i].err = r.publish(ctx, u, a.Host, a.Toplevel)
				return nil
			})
		}
	}
	_ = g.Wait() // every error is in its result
	var problems []error
	var done []rollout.Result
	for i, a := range actions {
		if err := results[i].err; err != nil {
			r.fleet.Trouble(a.Host, &proto.Problem{
				Reason: publishReason(err), Message: err.Error(), Revision: u.rollout.Revision, Time: r.now(),
			})
			problems = append(problems, err)
			continue
		}
		if a.Kind == rollout.Publish || a.Kind == rollout.Keep {
			r.fleet.Trouble(a.Host, nil)
		}
		done = append(done, rollout.Result{Action: a, Serial: results[i].serial})
	}
	next, err := u.rollout.Apply(done, r.now())
	if err != nil {
		return append(problems, err)
	}
	u.rollout = next
	return problems
}

// result is what came of an action outside the rollout.
type result struct {
	serial proto.Serial
	err    error
}

// publish publishes a toplevel for a host, under the release signed for it. A
// rollout that outlived its controller has none at hand: it is signed again.
func (r *runner) publish(ctx context.Context, u *underway, host proto.HostName, toplevel proto.StorePath) (proto.Serial, error) {
	if channels := r.fleet.Claimants(host); len(channels) > 1 {
		return 0, &disputedError{channels}
	}
	signed, at := u.releases[host]
	if !at {
		closures, err := r.closures.Closures(ctx, toplevel)
		if err != nil {
			return 0, fmt.Errorf("list closure of %s: %w", toplevel, err)
		}
		if signed, err = r.release(host, toplevel, u.rollout.Revision, closures[toplevel]); err != nil {
			return 0, err
		}
	}
	serial, err := r.publisher.Publish(ctx, proto.ServiceName, publish.Order{Release: signed, Mode: proto.ModeSwitch})
	if err != nil {
		return 0, err
	}
	r.log.InfoContext(ctx, "published", "host", host, "serial", serial, "toplevel", toplevel, "revision", u.rollout.Revision)
	return serial, nil
}

// observe returns the fleet as a rollout sees it. Hosts that were not heard of
// hold no wave up, but only once it is known that they were not: a controller
// that has just started must not take a whole fleet for silent.
func (r *runner) observe() rollout.Fleet {
	fleet, caughtUp := rollout.Fleet{}, r.fleet.IsCaughtUp()
	for _, v := range r.fleet.View().Hosts {
		h := rollout.Host{Toplevel: v.Want.Toplevel, Serial: v.Want.Serial, Silent: v.Silent || v.Seen.IsZero() && caughtUp}
		if s := v.Status; s != nil {
			h.Reported, h.Verdict = s.Deployment.Serial, s.Deployment.Verdict
			if s.Serial == v.Want.Serial && s.Runs(v.Want.Toplevel) {
				h.Reported, h.Verdict = v.Want.Serial, proto.VerdictSucceeded // there was nothing to deploy
			}
		}
		fleet[v.Host] = h
	}
	return fleet
}

// publishReason says in a word why something could not be published.
func publishReason(err error) proto.Reason {
	if nix.DiskFull(err) {
		return proto.ReasonDiskFull
	}
	if errors.Is(err, publish.ErrWithdrawn) {
		return proto.ReasonWithdrawn
	}
	if _, ok := errors.AsType[*disputedError](err); ok {
		return proto.ReasonTwoChannels
	}
	return proto.ReasonRetrying
}
