package notify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"kedge/internal/durable"
	"kedge/proto"
)

// How long news are let come in before they are told together; how often it is looked
// without news, as some are told only after a while; and how long it is waited before a
// destination is tried again.
const (
	pause      = 2 * time.Second
	look       = time.Minute
	firstRetry = 5 * time.Second
	lastRetry  = 15 * time.Minute
)

// A Fleet is what is told of. Sources lists a channel once it was looked at.
type Fleet interface {
	View() proto.FleetReply
	Version() uint64
	Await(ctx context.Context, after uint64)
	// IsCaughtUp reports whether everything was heard that hosts said before.
	IsCaughtUp() bool
}

// Options is what a [Notifier] is made of. All are required.
type Options struct {
	Destinations []Destination
	Fleet        Fleet
	Controller   string // the name of this machine
	File         string // has what was told
	// Shared has the file taken where other controllers find it.
	Shared   func(path string) error
	Send     func(ctx context.Context, d Destination, m Message) error
	Registry prometheus.Registerer
	Now      func() time.Time
	Log      *slog.Logger
}

// A Notifier tells destinations. Make one with [New].
type Notifier struct {
	o       Options
	file    durable.Document[toldKeys]
	sent    *prometheus.CounterVec
	pending *prometheus.GaugeVec

	mu   sync.Mutex // guards what follows
	told toldKeys
}

// toldKeys are the keys of what is so and was told, sorted, by destination.
type toldKeys struct {
	Told map[string][]string `json:"told"`
}

// The results of a message to a destination.
const (
	resultSent    = "sent"
	resultFailed  = "failed"
	resultDropped = "dropped" // a notice that was over before it could be told
	resultHeld    = "held"    // a notice of a host of which much was told lately
)

// New returns a notifier. What was told is read from its file, which need not exist: who
// was never told anything is told nothing that is so already.
func New(o Options) (*Notifier, error) {
	n := &Notifier{
		o: o, file: durable.Document[toldKeys]{Path: o.File, Format: 1},
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kedge_controller_notifications_total",
			Help: "Messages to destinations of notifications that were sent, or not; and notices that were over before they could be told, or held back as much was told of their host.",
		}, []string{"destination", "result"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kedge_controller_notifications_pending",
			Help: "Notices that a destination was not told yet, when that was last tried.",
		}, []string{"destination"}),
	}
	told, err := n.file.Read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if n.told = told; n.told.Told == nil {
		n.told.Told = map[string][]string{}
	}
	maps.DeleteFunc(n.told.Told, func(name string, _ []string) bool {
		return !slices.ContainsFunc(o.Destinations, func(d Destination) bool { return d.Name == name })
	})
	for _, d := range o.Destinations {
		n.pending.WithLabelValues(d.Name)
		for _, r := range []string{resultSent, resultFailed, resultDropped, resultHeld} {
			n.sent.WithLabelValues(d.Name, r)
		}
	}
	for _, c := range []prometheus.Collector{n.sent, n.pending} {
		if err := o.Registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return n, nil
}

// Run tells every destination, each at its own pace, until ctx ends.
func (n *Notifier) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, d := range n.o.Destinations {
		g.Go(func() error {
			n.tell(ctx, &teller{Notifier: n, to: d, since: map[string]time.Time{}})
			return nil
		})
	}
	return g.Wait()
}

// tell tells one destination until ctx ends.
func (n *Notifier) tell(ctx context.Context, t *teller) {
	for ctx.Err() == nil {
		version := n.o.Fleet.Version()
		wait := t.once(ctx)
		if wait > 0 {
			sleep(ctx, wait)
			continue
		}
		news, cancel := context.WithTimeout(ctx, look)
		n.o.Fleet.Await(news, version)
		cancel()
		sleep(ctx, pause)
	}
}

// A teller tells one destination. It is of one goroutine.
type teller struct {
	*Notifier
	to      Destination
	since   map[string]time.Time // when what is so was first seen, by key
	failing []string             // keys of what could not be told
	delay   time.Duration        // after the last failure; zero if there was none
	pace    pace
}

// once tells what there is to tell, and returns how long to wait before it is tried
// again; zero to wait for news.
func (t *teller) once(ctx context.Context) time.Duration {
	if !t.o.Fleet.IsCaughtUp() {
		return pause
	}
	fleet := t.o.Fleet.View()
	for _, s := range fleet.Sources {
		if s.Checked.IsZero() {
			return pause // what was told of it would be forgotten
		}
	}
	now := t.o.Now()
	inForce := slices.DeleteFunc(InForce(fleet), func(n Notice) bool { return !t.wants(n.Event) })
	so := make(map[string]bool, len(inForce))
	for _, n := range inForce {
		so[n.Key] = true
	}
	told, known := t.before()
	open := unsettled(fleet)
	maps.DeleteFunc(told, func(key string, _ bool) bool { return !so[key] && !open(key) })
	var news []Notice
	for _, n := range inForce {
		switch {
		case told[n.Key]:
		case !known: // it is not to be flooded with what everybody knows
			told[n.Key] = true
		case t.ripe(n, now) && t.may(n, now):
			n.HeldBack = t.pace.heldBack(n)
			news = append(news, n)
		}
	}
	t.forget(so)
	t.pending.WithLabelValues(t.to.Name).Set(float64(len(news)))
	if len(news) == 0 {
		t.delay = 0
		return t.note(ctx, told)
	}
	if err := t.o.Send(ctx, t.to, newMessage(t.o.Controller, now, news)); err != nil {
		return t.failed(ctx, err, news)
	}
	t.sent.WithLabelValues(t.to.Name, resultSent).Inc()
	t.pending.WithLabelValues(t.to.Name).Set(0)
	t.delay, t.failing = 0, nil
	for _, n := range news {
		told[n.Key] = true
		t.pace.tell(n, now)
	}
	return t.note(ctx, told)
}

// wants reports whether the destination is told of such events.
func (t *teller) wants(e Event) bool { return len(t.to.Events) == 0 || slices.Contains(t.to.Events, e) }

// before returns what the destination was told, and whether it ever was asked.
func (t *teller) before() (told map[string]bool, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys, known := t.told.Told[t.to.Name]
	told = make(map[string]bool, len(keys))
	for _, key := range keys {
		told[key] = true
	}
	return told, known
}

// ripe reports whether n has been so for as long as it has to be.
func (t *teller) ripe(n Notice, now time.Time) bool {
	if _, seen := t.since[n.Key]; !seen {
		t.since[n.Key] = now
	}
	return now.Sub(t.since[n.Key]) >= n.Event.patience()
}

// may reports whether n's host leaves room for it, and counts it if not.
func (t *teller) may(n Notice, now time.Time) bool {
	ok, fresh := t.pace.allows(n, now)
	if fresh {
		t.sent.WithLabelValues(t.to.Name, resultHeld).Inc()
	}
	return ok
}

// forget forgets what is not so any more, and counts what of it was never told.
func (t *teller) forget(so map[string]bool) {
	maps.DeleteFunc(t.since, func(key string, _ time.Time) bool { return !so[key] })
	t.failing = slices.DeleteFunc(t.failing, func(key string) bool {
		if !so[key] {
			t.sent.WithLabelValues(t.to.Name, resultDropped).Inc()
		}
		return !so[key]
	})
}

// failed notes that news could not be told, and returns when to try again.
func (t *teller) failed(ctx context.Context, err error, news []Notice) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	t.sent.WithLabelValues(t.to.Name, resultFailed).Inc()
	t.failing = nil
	for _, n := range news {
		t.failing = append(t.failing, n.Key)
	}
	t.delay = min(max(2*t.delay, firstRetry), lastRetry)
	wait := t.delay + time.Duration(rand.Float64()*float64(t.delay)/4) //nolint:gosec // spreads load, keeps no secret
	t.o.Log.WarnContext(ctx, "notification not sent", "destination", t.to.Name, "notices", len(news), "err", err, "again_in", wait.Round(time.Second))
	return wait
}

// note makes durable what was told. What cannot be is told again by who starts next.
func (t *teller) note(ctx context.Context, all map[string]bool) time.Duration {
	told := slices.Sorted(maps.Keys(all))
	t.mu.Lock()
	defer t.mu.Unlock()
	if before, known := t.told.Told[t.to.Name]; known && slices.Equal(before, told) {
		return 0
	}
	t.told.Told[t.to.Name] = told
	err := t.file.Write(t.told)
	if err == nil {
		err = t.o.Shared(t.o.File)
	}
	if err != nil {
		t.o.Log.WarnContext(ctx, "what was told is not durable, and may be told again", "destination", t.to.Name, "err", err)
	}
	return 0
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
