package controller

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"kedge/proto"
)

// Failures of a revision are tried again when the source is looked at, which is
// done for that alone if need be, but after ever more time: a build that fails
// costs as much as one that succeeds.
const (
	firstRetry = 30 * time.Second
	lastRetry  = time.Hour
)

// errSuperseded ends the work on a revision that is not the newest any more.
var errSuperseded = errors.New("superseded by a newer revision")

// A Deployer brings one revision to the hosts, which was looked for since some
// instant. Deploy is idempotent. It calls fetched once all of the revision is there:
// what is ended before that begins from nothing the next time. After ctx has ended it
// returns soon: what runs is stopped, which may take seconds, and what is being
// published has a little more time. Its error says what kept the revision, or a part
// of it, from the hosts.
type Deployer interface {
	Deploy(ctx context.Context, rev proto.Revision, since time.Time, fetched func()) error
}

// A Looker finds the newest revision.
type Looker interface {
	Check(ctx context.Context) (proto.Revision, error)
	URL() string
	Branch() string
}

// PipelineOptions is what a [Pipeline] needs. All are required.
type PipelineOptions struct {
	Channel  string
	Source   Looker
	Deployer Deployer
	Fleet    *Fleet        // shown how the source stands
	Poll     time.Duration // how often to look without being asked, give or take a fifth
	Now      func() time.Time
	Log      *slog.Logger
}

// A Pipeline watches the source of one channel and keeps one deployment of it under
// way at most: that of the newest revision, or of an older one that is still fetched.
// That comes to its end first, as pushes may come more often than a fetch takes.
type Pipeline struct {
	o        PipelineOptions
	trigger  chan struct{} // asked to look
	redo     atomic.Bool   // asked to begin anew, whatever became of the newest revision
	fetched  chan *work    // from the goroutine of running, as is the next one
	finished chan ended

	// What follows belongs to the goroutine of Run.
	running *work
	last    ended
	retryAt time.Time
	delay   time.Duration
	unseen  bool // something is to be begun, and which revision is not known yet
}

// NewPipeline returns a pipeline that does nothing yet.
func NewPipeline(o PipelineOptions) *Pipeline {
	return &Pipeline{o: o, trigger: make(chan struct{}, 1), fetched: make(chan *work, 1), finished: make(chan ended, 1)}
}

// work is the deployment under way.
type work struct {
	revision proto.Revision
	cancel   context.CancelCauseFunc
	fetching bool // nothing else is begun in its place yet
	overdue  bool // something is to be
}

// ended is how the work on a revision ended.
type ended struct {
	revision proto.Revision
	err      error
}

// Trigger asks the pipeline to look at its source at once, and to try again what
// failed. It returns at once.
func (p *Pipeline) Trigger() {
	select {
	case p.trigger <- struct{}{}:
	default: // it is going to look already
	}
}

// Redo asks the pipeline to begin anew with the newest revision, as what is outside
// of it is not as it was. It returns at once.
func (p *Pipeline) Redo() {
	p.redo.Store(true)
	p.Trigger()
}

// Run watches until ctx ends, and returns when nothing is under way any more.
func (p *Pipeline) Run(ctx context.Context) error {
	defer func() { p.stop(context.Cause(ctx)) }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.trigger:
			p.look(ctx, true)
		case <-timer.C:
			p.look(ctx, false)
		case w := <-p.fetched:
			w.fetching = false
			if w != p.running || !w.overdue {
				continue
			}
			w.overdue = false
			p.unseen = true
			p.look(ctx, false)
		case e := <-p.finished:
			p.settle(ctx, e)
			if p.unseen {
				p.look(ctx, false)
			} else if e.err == nil {
				continue
			}
		}
		timer.Reset(p.next())
	}
}

// next returns how long to wait before the source is looked at without being
// asked.
func (p *Pipeline) next() time.Duration {
	wait := jitter(p.o.Poll)
	if retry := p.retryAt.Sub(p.o.Now()); p.running == nil && p.last.err != nil && retry > 0 {
		wait = min(wait, retry)
	}
	if p.unseen {
		wait = min(wait, firstRetry)
	}
	return wait
}

// look finds the newest revision and starts on it, if there is something to do; or has
// that looked at again once what is under way has fetched. asked is true when somebody
// waits for it.
func (p *Pipeline) look(ctx context.Context, asked bool) {
	started := p.o.Now()
	rev, err := p.o.Source.Check(ctx)
	if ctx.Err() != nil {
		return
	}
	select { // what failed in the meantime is what is to be tried again
	case e := <-p.finished:
		p.settle(ctx, e)
	default:
	}
	if err != nil {
		s := p.o.Fleet.SourceStatus(p.o.Channel)
		s.Checked, s.Error, s.Reason = started, err.Error(), sourceReason(err)
		p.o.Fleet.Looked(s)
		p.o.Log.WarnContext(ctx, "source could not be looked at", "err", err, "again_in", p.o.Poll)
		return
	}
	p.unseen = false
	s := sourceStatus(p.o.Channel, p.o.Source)
	s.Revision, s.Checked, s.Found = rev, started, started
	if known := p.o.Fleet.SourceStatus(p.o.Channel); known.Revision == rev {
		s.Found = known.Found
	}
	begin := false
	if w := p.running; w != nil && w.fetching {
		w.overdue = p.redo.Load() || p.wanted(rev, asked)
	} else {
		begin = p.redo.Swap(false) || p.wanted(rev, asked)
	}
	s.Working = begin || p.running != nil
	if p.last.revision == rev && p.last.err != nil && p.running == nil && !begin {
		s.Error, s.Reason = p.last.err.Error(), sourceReason(p.last.err) // still so, until it is tried again
	}
	p.o.Fleet.Looked(s)
	if begin {
		p.stop(errSuperseded)
		p.start(ctx, rev, started)
	}
}

// sourceStatus returns how the controller stands to a repository that it has not
// looked at.
func sourceStatus(channel string, l Looker) proto.SourceStatus {
	return proto.SourceStatus{Channel: channel, URL: l.URL(), Branch: l.Branch()}
}

// wanted reports whether to start on rev.
func (p *Pipeline) wanted(rev proto.Revision, asked bool) bool {
	switch {
	case p.running != nil:
		return p.running.revision != rev
	case p.last.revision != rev:
		return true
	case p.last.err == nil:
		return false
	}
	return asked || !p.o.Now().Before(p.retryAt)
}

func (p *Pipeline) start(ctx context.Context, rev proto.Revision, since time.Time) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &work{revision: rev, cancel: cancel, fetching: true}
	p.running = w
	p.o.Log.InfoContext(ctx, "revision found", "revision", rev, "looked_for", p.o.Now().Sub(since))
	go func() { // waited for by stop or settle, through finished
		err := p.o.Deployer.Deploy(ctx, rev, since, func() {
			select {
			case p.fetched <- w:
			case <-ctx.Done():
			}
		})
		p.finished <- ended{revision: rev, err: err}
	}()
}

// stop ends what is under way, for a reason, and waits until it has ended.
func (p *Pipeline) stop(why error) {
	if p.running == nil {
		return
	}
	p.running.cancel(why)
	e := <-p.finished
	p.running = nil
	p.o.Log.Info("work on a revision ended early", "revision", e.revision, "err", why)
}

// settle takes note of how a revision ended, and when to try again if it failed.
func (p *Pipeline) settle(ctx context.Context, e ended) {
	p.running.cancel(nil)
	p.unseen = p.unseen || p.running.overdue
	p.running = nil
	again := p.last.revision == e.revision && p.last.err != nil
	p.last = e
	s := p.o.Fleet.SourceStatus(p.o.Channel)
	s.Working = false
	if e.err != nil && s.Revision == e.revision {
		s.Error, s.Reason = e.err.Error(), sourceReason(e.err)
	}
	p.o.Fleet.Looked(s)
	if e.err == nil {
		p.delay = 0
		return
	}
	if p.delay = min(2*p.delay, lastRetry); !again || p.delay == 0 {
		p.delay = firstRetry
	}
	p.retryAt = p.o.Now().Add(p.delay)
	p.o.Log.WarnContext(ctx, "revision not published whole", "revision", e.revision, "err", e.err, "not_again_before", p.delay)
}

// jitter returns d, give or take a fifth, so that many controllers do not ask
// one server at once.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d)) //nolint:gosec // spreads load, keeps no secret
}
