package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// How long the runner waits before it tries again what did not work; how long it
// lets reports come in before it looks at them, since a fleet reports in bursts
// and one look costs as much as the fleet is large; and how often it looks
// without news.
const (
	runnerRetry = 10 * time.Second
	runnerPause = 100 * time.Millisecond
	runnerLook  = 30 * time.Second
)

// publishAtOnce is how many hosts are published for at the same time: most of
// each publication is waiting for disks.
const publishAtOnce = 16

// A publisher says to hosts what they shall run; see [publish.Publisher].
type publisher interface {
	Publish(ctx context.Context, actor string, release proto.Envelope) (proto.Serial, error)
	NextRelease(host proto.HostName) proto.Serial
}

// releaseSigner signs releases; see [sign.Signer].
type releaseSigner interface {
	Release(r proto.Release) (proto.Envelope, error)
}

// closureLister lists closures of the local store.
type closureLister interface {
	Closures(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error)
}

// rolloutSaver keeps a rollout.
type rolloutSaver interface {
	// Save makes it durable before it returns nil.
	Save(r rollout.Rollout) error
	// Copy lets other controllers have it, as it was saved last. It does
	// nothing if they do.
	Copy(ctx context.Context) error
}

// releases holds the signed releases of a revision.
type releases map[proto.HostName]proto.Envelope

// runner carries out what rollout.Next decides. There is one rollout at a time;
// a newer one takes the place of the one before.
type runner struct {
	publisher publisher
	signer    releaseSigner
	closures  closureLister
	fleet     *Fleet
	saver     rolloutSaver
	now       func() time.Time
	log       *slog.Logger

	mu       sync.Mutex // guards what follows; held for a whole round
	rollout  rollout.Rollout
	releases releases
}

// sign makes the releases of those hosts that are to get another toplevel.
func (r *runner) sign(rev proto.Revision, toplevels map[proto.HostName]proto.StorePath, closures cache.Closures) (releases, error) {
	now := r.current()
	signed := releases{}
	for host, toplevel := range toplevels {
		if v, known := r.fleet.Host(host); known && v.Host.Want.Toplevel == toplevel || went(now, rev, host, toplevel) {
			continue
		}
		closure, known := closures[toplevel]
		if !known {
			return nil, fmt.Errorf("sign release for %s: closure of %s is not known", host, toplevel)
		}
		e, err := r.release(host, toplevel, rev, closure)
		if err != nil {
			return nil, err
		}
		signed[host] = e
	}
	return signed, nil
}

func (r *runner) release(host proto.HostName, toplevel proto.StorePath, rev proto.Revision, closure proto.Closure) (proto.Envelope, error) {
	e, err := r.signer.Release(proto.Release{
		Host: host, Serial: r.publisher.NextRelease(host), Toplevel: toplevel, Revision: rev, Closure: closure.Digest(),
	})
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("sign release for %s: %w", host, err)
	}
	return e, nil
}

// begin starts the rollout of a revision and returns when its first round is
// done: whoever may go at once has been published for. An error means that the
// rollout could not be made durable, and was not begun. What could not be
// published is its host's problem, and tried again by run.
func (r *runner) begin(ctx context.Context, rev proto.Revision, toplevels map[proto.HostName]proto.StorePath, signed releases) error {
	var targets []rollout.Target
	for host, toplevel := range toplevels {
		targets = append(targets, rollout.Target{Host: host, Toplevel: toplevel})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	next := rollout.New(rev.Short()+"-"+now.UTC().Format("20060102T150405.000"), rev, now, targets)
	for host, toplevel := range toplevels {
		if went(r.rollout, rev, host, toplevel) {
			next.Hosts[host] = r.rollout.Hosts[host]
		}
	}
	if err := r.saver.Save(next); err != nil {
		return fmt.Errorf("begin rollout %s: %w", next.ID, err)
	}
	r.rollout, r.releases = next, signed
	if err := r.round(ctx); err != nil {
		r.log.WarnContext(ctx, "rollout held up", "rollout", next.ID, "err", err)
	}
	return nil
}

// went reports whether a rollout of rev gave host this toplevel already. What a
// person published for the host since stands until there is a newer revision.
func went(r rollout.Rollout, rev proto.Revision, host proto.HostName, toplevel proto.StorePath) bool {
	p, member := r.Hosts[host]
	return member && r.Revision == rev && p.Toplevel == toplevel && p.State != rollout.Waiting
}

// resume takes up a rollout that was durable when the controller started.
func (r *runner) resume(saved rollout.Rollout) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rollout, r.releases = saved, nil
}

// current returns the rollout as it is.
func (r *runner) current() rollout.Rollout {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rollout
}

// run carries the rollout on as the fleet changes, until ctx ends.
func (r *runner) run(ctx context.Context) error {
	for {
		version := r.fleet.Version()
		r.mu.Lock()
		err := r.round(ctx)
		r.mu.Unlock()
		err = errors.Join(err, r.saver.Copy(ctx))
		wait := runnerPause
		if err != nil && ctx.Err() == nil {
			wait = runnerRetry
			r.log.WarnContext(ctx, "rollout held up", "err", err, "again_in", wait)
		}
		if !sleep(ctx, wait) {
			return nil
		}
		if err == nil {
			r.awaitNews(ctx, version)
		}
	}
}

// awaitNews waits until the fleet is not at version any more, or for a while: a
// rollout may also wait for time to pass.
func (r *runner) awaitNews(ctx context.Context, version uint64) {
	ctx, cancel := context.WithTimeout(ctx, runnerLook)
	defer cancel()
	r.fleet.Await(ctx, version)
}

// round carries out what is to be done now, until there is nothing left. What
// cannot be done for one host is its problem, shown there, and in the error. The
// caller holds r.mu.
func (r *runner) round(ctx context.Context) error {
	changed := false
	var problems []error
	for len(problems) == 0 {
		actions := rollout.Next(r.rollout, r.observe(), r.now())
		if len(actions) == 0 {
			break
		}
		changed = true
		problems = r.carryOut(ctx, actions)
	}
	if changed {
		if err := r.saver.Save(r.rollout); err != nil {
			problems = append(problems, fmt.Errorf("save rollout %s: %w", r.rollout.ID, err))
		}
	}
	return errors.Join(problems...)
}

// carryOut does what actions say: first outside, for all hosts side by side, and
// then in the rollout, in order. Repeating it after a crash in between does no
// harm: the fleet then shows what was published.
func (r *runner) carryOut(ctx context.Context, actions []rollout.Action) []error {
	results := make([]result, len(actions))
	var g errgroup.Group
	g.SetLimit(publishAtOnce)
	for i, a := range actions {
		if a.Kind == rollout.Publish {
			g.Go(func() error {
				results[i].serial, results[i].err = r.publish(ctx, a.Host, a.Toplevel)
				return nil
			})
		}
	}
	_ = g.Wait() // every error is in its result
	var problems []error
	for i, a := range actions {
		if err := results[i].err; err != nil {
			r.fleet.Trouble(a.Host, &proto.Problem{
				Reason: publishReason(err), Message: err.Error(), Revision: r.rollout.Revision, Time: r.now(),
			})
			problems = append(problems, err)
			continue
		}
		next, err := r.rollout.Apply(a, results[i].serial, r.now())
		if err != nil {
			return append(problems, fmt.Errorf("rollout %s: %w", r.rollout.ID, err))
		}
		r.rollout = next
	}
	return problems
}

// result is what came of an action outside the rollout.
type result struct {
	serial proto.Serial
	err    error
}

// publish publishes a toplevel for a host, under the release signed for it. A
// rollout that outlived its controller has none at hand: it is signed again.
func (r *runner) publish(ctx context.Context, host proto.HostName, toplevel proto.StorePath) (proto.Serial, error) {
	signed, at := r.releases[host]
	if !at {
		closures, err := r.closures.Closures(ctx, toplevel)
		if err != nil {
			return 0, fmt.Errorf("list closure of %s: %w", toplevel, err)
		}
		if signed, err = r.release(host, toplevel, r.rollout.Revision, closures[toplevel]); err != nil {
			return 0, err
		}
	}
	serial, err := r.publisher.Publish(ctx, proto.ServiceName, signed)
	if err != nil {
		return 0, err
	}
	r.log.InfoContext(ctx, "published", "host", host, "serial", serial, "toplevel", toplevel, "revision", r.rollout.Revision)
	r.fleet.Trouble(host, nil)
	return serial, nil
}

// observe returns the fleet as a rollout sees it.
func (r *runner) observe() rollout.Fleet {
	fleet := rollout.Fleet{}
	for _, v := range r.fleet.View().Hosts {
		h := rollout.Host{Toplevel: v.Want.Toplevel, Serial: v.Want.Serial, Silent: v.Silent || v.Seen.IsZero()}
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
	if errors.Is(err, syscall.ENOSPC) {
		return proto.ReasonDiskFull
	}
	return proto.ReasonRetrying
}

// sleep waits, and reports whether it was for the whole of d.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
