package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
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
	// Near has hosts ask these caches before the controller's own.
	Near(caches map[proto.HostName][]string)
	Publish(ctx context.Context, actor string, o publish.Order) (proto.Serial, error)
	NextRelease(host proto.HostName) proto.Serial
	// Toplevels returns what a host is to run, and may run still or go back to.
	Toplevels(host proto.HostName) []proto.StorePath
	Former(host proto.HostName, toplevel proto.StorePath, release proto.Digest) (f publish.Former, known bool, err error)
}

// releaseSigner signs releases; see [sign.Signer].
type releaseSigner interface {
	Release(r proto.Release) (proto.Envelope, error)
}

// closureLister lists closures of the local store.
type closureLister interface {
	Closures(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error)
}

// A provider makes closures fetchable.
type provider interface {
	closureLister
	// Provide is Closures, but for that it makes fetchable, signed by our key, what is
	// only in the local store: the caller vouches that it is what we built. The error
	// wraps [cache.ErrGone] if something is nowhere.
	Provide(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error)
}

// A rooter keeps toplevels of the local store from being collected; see [Builder].
type rooter interface {
	Root(host proto.HostName, toplevel proto.StorePath) error
}

// A rolloutSaver keeps the rollouts of a channel. What it was given is durable when it
// returns nil.
type rolloutSaver interface {
	// Save keeps r as the channel's current rollout.
	Save(r rollout.Rollout) error
	// Retire remembers r, which is current no more, or will not be soon, and forgets
	// others.
	Retire(r rollout.Rollout, forgotten ...rollout.Rollout) error
}

// releases holds the signed releases of a revision.
type releases map[proto.HostName]proto.Envelope

// A releaser makes releases.
type releaser struct {
	signer    releaseSigner
	publisher publisher
}

func (r releaser) release(host proto.HostName, toplevel proto.StorePath, rev proto.Revision, closure proto.Digest) (proto.Envelope, error) {
	e, err := r.signer.Release(proto.Release{
		Host: host, Serial: r.publisher.NextRelease(host), Toplevel: toplevel, Revision: rev, Closure: closure,
	})
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("sign release for %s: %w", host, err)
	}
	return e, nil
}

// runner carries out what rollout.Next decides for one channel, and what people do to
// its rollout. There is one rollout at a time; a newer one takes the place of the one
// before.
type runner struct {
	releaser

	channel  string
	own      proto.HostName // the controller's own host; zero if it is none that is known
	closures provider
	roots    rooter
	fleet    *Fleet
	heard    func() time.Time // since when hosts are listened to without a break
	saver    rolloutSaver
	holds    *holds
	audit    func(ctx context.Context, e proto.AuditEntry)
	now      func() time.Time
	log      *slog.Logger

	latency atomic.Pointer[rollout.Latency]   // as it is durable; nil before there is a rollout
	known   atomic.Pointer[[]rollout.Rollout] // for those who only look; see [runner.all]

	rounds chan struct{} // full for a whole round: there is one at a time; capacity 1
	turn   sync.Mutex    // held by who is next to get mu
	wanted atomic.Int32  // how many wait for mu
	mu     sync.Mutex    // guards what follows; held while hosts are published for

	rollout  rollout.Rollout   // has no ID before the first
	past     []rollout.Rollout // those before it, the newest first
	releases releases
	gone     map[rollout.Target]string // why what the rollout has for hosts cannot be had, until the revision is built again
	seen     rollout.Fleet             // when it was last asked what is to be done; without hosts before the first time
	unsaved  bool                      // rollout is not durable yet
}

// lock locks r.mu, for which it waits as long as the publications take that are under
// way. Whoever has it, and gives it away for a moment, gets it again after those who
// waited for it by then.
func (r *runner) lock() {
	r.wanted.Add(1)
	defer r.wanted.Add(-1)
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
}

// unlock unlocks r.mu, and has those who only look see what there is by now.
func (r *runner) unlock() {
	r.list()
	r.mu.Unlock()
}

// list has those who only look see what there is. The caller holds r.mu.
func (r *runner) list() {
	if all := append([]rollout.Rollout{r.rollout}, r.past...); r.rollout.ID != "" {
		r.known.Store(&all)
	}
}

// all returns the rollouts of the channel that are known, the current one first, and then
// the newest, as they were when nothing was being published. It waits for no publication,
// and keeps none waiting.
func (r *runner) all() []rollout.Rollout {
	if all := r.known.Load(); all != nil {
		return *all
	}
	return nil
}

// sign makes the releases of those hosts that are to get another toplevel.
func (r *runner) sign(rev proto.Revision, toplevels map[proto.HostName]proto.StorePath, closures cache.Closures) (releases, error) {
	now := r.current()
	signed := releases{}
	for host, toplevel := range toplevels {
		if v, known := r.fleet.Host(host); known && v.Host.Want.Toplevel == toplevel || r.went(now, rev, host, toplevel) {
			continue
		}
		closure, known := closures[toplevel]
		if !known {
			return nil, fmt.Errorf("sign release for %s: closure of %s is not known", host, toplevel)
		}
		e, err := r.release(host, toplevel, rev, closure.Digest())
		if err != nil {
			return nil, err
		}
		signed[host] = e
	}
	return signed, nil
}

// begin has a revision go out as its spec says, and returns when the first round of
// that is done: whoever may go at once has been published for; or soon after ctx has
// ended, though another round goes on. An error means that the rollout could not be made
// durable, and was not begun. What could not be published is its host's problem, and
// tried again by run.
func (r *runner) begin(ctx context.Context, rev proto.Revision, s spec.Spec, toplevels map[proto.HostName]proto.StorePath, signed releases) error {
	if err := r.follow(ctx, rev, s, toplevels, signed); err != nil {
		return err
	}
	near := make(map[proto.HostName][]string, len(toplevels))
	for host := range toplevels {
		near[host] = s.CachesOf(host)
	}
	r.publisher.Near(near)
	if err := r.round(ctx); err != nil {
		r.log.WarnContext(ctx, "rollout held up", "rollout", r.current().ID, "err", err)
	}
	return nil
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

// resume takes up what was durable when the controller started: the rollout, if there
// was one, and those before it.
func (r *runner) resume(saved rollout.Rollout, past []rollout.Rollout) {
	r.lock()
	defer r.unlock()
	r.rollout, r.past, r.releases, r.gone = saved, past, nil, nil
	r.latency.Store(&saved.Latency)
	r.show()
}

// forgetReleases has releases that were not published yet signed anew: a key that
// signed them may count no more.
func (r *runner) forgetReleases() {
	r.lock()
	defer r.unlock()
	r.releases = nil
}

// current returns the rollout that [runner.all] begins with; zero if there is none.
func (r *runner) current() rollout.Rollout {
	if all := r.all(); len(all) > 0 {
		return all[0]
	}
	return rollout.Rollout{}
}

// keeps returns what the rollout has for a host, or gives back to it, and what the
// host may go back to by itself: it must not be collected, though nobody runs it.
func (r *runner) keeps(host proto.HostName) []proto.StorePath {
	p := r.current().Hosts[host]
	return append([]proto.StorePath{p.Toplevel, p.Before.Toplevel}, r.publisher.Toplevels(host)...)
}

// run carries the rollout on as the fleet changes, until ctx ends.
func (r *runner) run(ctx context.Context) error {
	for {
		version := r.fleet.Version()
		err := r.round(ctx)
		wait := runnerPause + time.Duration(len(r.current().Hosts))*runnerPausePerHost
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
	ctx, cancel := context.WithTimeout(ctx, r.untilDue())
	defer cancel()
	r.fleet.Await(ctx, version)
}

// untilDue returns how long there is nothing to do without news, as far as is known.
func (r *runner) untilDue() time.Duration {
	r.lock()
	defer r.unlock()
	now := r.now()
	if due := rollout.Due(r.rollout, r.seen, now); !due.IsZero() {
		return min(due.Sub(now), runnerLook)
	}
	return runnerLook
}
