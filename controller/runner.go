package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// How long the runner waits before it tries again what did not work; how long it
// lets reports come in before it looks at them, since a fleet reports in bursts
// and one look costs as much as the fleet is large; and how often it looks
// without news.
const (
	runnerRetry        = 10 * time.Second
	runnerPause        = 100 * time.Millisecond
	runnerPausePerHost = 100 * time.Microsecond
	runnerLook         = 30 * time.Second
)

// A publisher says to hosts what they shall run; see [publish.Publisher].
type publisher interface {
	Publish(ctx context.Context, actor string, o publish.Order) (proto.Serial, error)
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

// rolloutSaver makes a rollout durable before it returns nil.
type rolloutSaver interface {
	Save(channel string, r rollout.Rollout) error
}

// releases holds the signed releases of a revision.
type releases map[proto.HostName]proto.Envelope

// underway is the rollout of one channel.
type underway struct {
	channel  string
	rollout  rollout.Rollout
	releases releases
	unsaved  bool // rollout is not durable yet
}

// runner carries out what rollout.Next decides. There is one rollout of a channel at
// a time; a newer one takes the place of the one before.
type runner struct {
	publisher publisher
	signer    releaseSigner
	closures  closureLister
	fleet     *Fleet
	saver     rolloutSaver
	now       func() time.Time
	log       *slog.Logger

	mu       sync.Mutex // guards what follows; held for a whole round
	channels map[string]*underway
}

// sign makes the releases of those hosts that are to get another toplevel.
func (r *runner) sign(channel string, rev proto.Revision, toplevels map[proto.HostName]proto.StorePath, closures cache.Closures) (releases, error) {
	now := r.current(channel)
	signed := releases{}
	for host, toplevel := range toplevels {
		if v, known := r.fleet.Host(host); known && v.Host.Want.Toplevel == toplevel || r.went(now, rev, host, toplevel) {
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

// begin starts the rollout of a channel's revision and returns when its first round is
// done: whoever may go at once has been published for. An error means that the
// rollout could not be made durable, and was not begun. What could not be
// published is its host's problem, and tried again by run.
func (r *runner) begin(ctx context.Context, channel string, rev proto.Revision, toplevels map[proto.HostName]proto.StorePath, signed releases) error {
	var targets []rollout.Target
	for host, toplevel := range toplevels {
		targets = append(targets, rollout.Target{Host: host, Toplevel: toplevel})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u, now := r.of(channel), r.now()
	next := rollout.New(rev.Short()+"-"+now.UTC().Format("20060102T150405.000"), rev, now, targets)
	for host, toplevel := range toplevels {
		if r.went(u.rollout, rev, host, toplevel) {
			next.Hosts[host] = u.rollout.Hosts[host]
		}
	}
	if err := r.saver.Save(channel, next); err != nil {
		return fmt.Errorf("begin rollout %s: %w", next.ID, err)
	}
	u.rollout, u.releases, u.unsaved = next, signed, false
	if err := r.round(ctx, u); err != nil {
		r.log.WarnContext(ctx, "rollout held up", "channel", channel, "rollout", next.ID, "err", err)
	}
	return nil
}

// of returns what is under way on a channel. The caller holds r.mu.
func (r *runner) of(channel string) *underway {
	u, known := r.channels[channel]
	if !known {
		u = &underway{channel: channel}
		r.channels[channel] = u
	}
	return u
}

// went reports whether o, a rollout of rev, gave host this toplevel already, and
// that is still known: what was published for a host may have been lost with its
// file. What a person published for the host since stands until there is a newer
// revision; its serial is higher.
func (r *runner) went(o rollout.Rollout, rev proto.Revision, host proto.HostName, toplevel proto.StorePath) bool {
	p, member := o.Hosts[host]
	v, _ := r.fleet.Host(host)
	return member && o.Revision == rev && p.Toplevel == toplevel && p.State != rollout.Waiting && v.Host.Want.Serial >= p.Serial
}

// resume takes up a rollout that was durable when the controller started.
func (r *runner) resume(channel string, saved rollout.Rollout) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.of(channel)
	u.rollout, u.releases = saved, nil
}

// forgetReleases has releases that were not published yet signed anew: a key that
// signed them may count no more.
func (r *runner) forgetReleases() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.channels {
		u.releases = nil
	}
}

// current returns the rollout of a channel as it is.
func (r *runner) current(channel string) rollout.Rollout {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(channel).rollout
}

// run carries the rollouts on as the fleet changes, until ctx ends.
func (r *runner) run(ctx context.Context) error {
	for {
		version := r.fleet.Version()
		wait, err := r.rounds(ctx)
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

// rounds carries every rollout as far as it goes, whatever becomes of the others. It
// returns how long to let news come in.
func (r *runner) rounds(ctx context.Context) (wait time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait = runnerPause
	var errs []error
	for _, channel := range slices.Sorted(maps.Keys(r.channels)) {
		u := r.channels[channel]
		if err := r.round(ctx, u); err != nil {
			errs = append(errs, fmt.Errorf("channel %s: %w", channel, err))
		}
		wait += time.Duration(len(u.rollout.Hosts)) * runnerPausePerHost
	}
	return wait, errors.Join(errs...)
}

// awaitNews waits until the fleet is not at version any more, or for a while: a
// rollout may also wait for time to pass.
func (r *runner) awaitNews(ctx context.Context, version uint64) {
	ctx, cancel := context.WithTimeout(ctx, runnerLook)
	defer cancel()
	r.fleet.Await(ctx, version)
}
