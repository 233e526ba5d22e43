package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller/internal/forwarded"
	"kedge/controller/internal/leader"
	"kedge/controller/internal/lease"
	"kedge/controller/internal/natsd"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/replica"
	"kedge/internal/durable"
	"kedge/proto"
	"kedge/proto/bus"
)

const (
	stateKeyFile = "state"         // in keysDir; what is shared is sealed with it
	memberFile   = "member"        // says which controller this is
	followEvery  = time.Second     // while another one leads
	leaderWrite  = 2 * time.Second // that must be left of the lease when a host is told something
	floorsEvery  = 10 * time.Second
)

// sharedParts names what other controllers need of the state.
func sharedParts() []string {
	return []string{channelsDir, rolloutsDir, holdsFile, keptRevisionsFile, desiredDir, withdrawalsFile, hostsDir, operatorsFile, sharedKeysFile, notifiedFile}
}

// A term is the time for which this controller leads.
type term struct {
	queue string // of those who answer requests
	lease *leader.Lease
	state *replica.Store
	keys  func() error  // says which keys we have
	lost  chan struct{} // closed when the lease is not kept any more
	err   error         // why; valid once lost is closed
}

// shared has a file that was written taken where other controllers find it.
func (c *Controller) shared(path string) error {
	if c.term == nil {
		return nil
	}
	return c.term.state.Copy(path)
}

// A fencedBus tells hosts something only while this controller leads.
type fencedBus struct {
	publish.Bus
	lease *leader.Lease
}

// PutDesired implements [publish.Bus].
func (b fencedBus) PutDesired(ctx context.Context, host proto.HostName, data []byte, last uint64) (uint64, error) {
	if err := b.lease.Check(leaderWrite); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, leaderWrite, bus.ErrTimeout)
	defer cancel()
	return b.Bus.PutDesired(ctx, host, data, last)
}

func (c *Controller) fenced(b publish.Bus) publish.Bus {
	if c.term == nil {
		return b
	}
	return fencedBus{Bus: b, lease: c.term.lease}
}

// fencedControl lets hosts have leases only while this controller leads: what it was
// asked before it was held up is out of date.
type fencedControl struct {
	lease.Bus
	held *leader.Lease
}

// PutControl implements [lease.Bus].
func (b fencedControl) PutControl(ctx context.Context, key string, data []byte, last uint64) (uint64, error) {
	if err := b.held.Check(leaderWrite); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, leaderWrite, bus.ErrTimeout)
	defer cancel()
	return b.Bus.PutControl(ctx, key, data, last)
}

func (c *Controller) fencedControl(b lease.Bus) lease.Bus {
	if c.term == nil {
		return b
	}
	return fencedControl{Bus: b, held: c.term.lease}
}

// leading returns nil while this controller leads for long enough to tell somebody
// something, or is the only one.
func (c *Controller) leading() error {
	if c.term == nil {
		return nil
	}
	return c.term.lease.Check(leaderWrite)
}

// deposed reports whether another controller may lead: nothing that is under way may have
// an effect any more.
func (c *Controller) deposed() bool { return c.term != nil && c.term.lease.Left() == 0 }

// lead returns nil when ctx ends, and an error when another controller may lead.
func (c *Controller) lead(ctx context.Context) error {
	if c.term == nil {
		return nil
	}
	t := time.NewTicker(floorsEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.term.lost:
			return c.term.err
		case <-c.term.state.Failed():
			return c.term.state.Err()
		case <-t.C:
			if err := c.term.keys(); err != nil {
				return err
			}
			if err := c.term.state.SaveFloors(); err != nil {
				c.log.WarnContext(ctx, "versions of the shared state not saved", "err", err)
			}
		}
	}
}

// standBy returns when this controller leads, and has what the others had; at once
// where there are no others.
func (c *Controller) standBy(ctx context.Context) error {
	leads := prometheus.NewGauge(prometheus.GaugeOpts{Name: "kedge_controller_leader", Help: "Whether this controller acts: 0 while another one leads."})
	if err := c.o.Registry.Register(leads); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	if !c.o.Config.HA.Enabled {
		leads.Set(1)
		return nil
	}
	member, err := c.member()
	if err != nil {
		return err
	}
	conn, err := c.connectStandby(ctx)
	if err != nil {
		return err
	}
	fleet := bus.NewFleet(conn, c.log)
	key, err := replica.OpenKey(c.path(keysDir + "/" + stateKeyFile))
	if err != nil {
		return err
	}
	state, err := replica.Open(replica.Options{Bus: fleet, Dir: c.o.Config.StateDir, Parts: sharedParts(), Key: key, Log: c.log})
	if err != nil {
		return err
	}
	w := &waiting{c: c, conn: conn, fleet: fleet, state: state, why: errors.New("standby")}
	closeWeb, err := w.serve(ctx)
	if err != nil {
		return err
	}
	c.o.Notify("READY=1")
	c.log.InfoContext(ctx, "stands by", "member", member)
	name := rand.Text()
	held, err := leader.Acquire(ctx, leader.Options{Bus: fleet, Holder: member, Log: c.log}, name, func(holder string, err error) { w.look(ctx, holder, err) })
	closeWeb()
	if err != nil {
		return fmt.Errorf("stand by: %w", err)
	}
	c.begin(ctx, &term{queue: "kedge-controller-" + name, lease: held, state: state, lost: make(chan struct{}), keys: func() error { return c.shareKeys(member, key) }})
	if err := state.Lead(ctx, held.Seq(), held.Check); err != nil {
		return fmt.Errorf("take the lead: %w", err)
	}
	if err := c.term.keys(); err != nil {
		return fmt.Errorf("take the lead: %w", err)
	}
	leads.Set(1)
	c.closing("metric of the leader", func() error { leads.Set(0); return nil })
	c.log.InfoContext(ctx, "leads", "member", member)
	return nil
}

// begin keeps the lease until the controller is closed, and then resigns: the last
// thing that is done while it is connected.
func (c *Controller) begin(ctx context.Context, t *term) {
	c.term = t
	// It is kept until nothing is done any more that needs it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() { // waited for by Close
		defer close(t.lost)
		t.err = t.lease.Keep(ctx)
	}()
	c.closing("lease of the leader", func() error {
		cancel()
		<-t.lost
		return errors.Join(t.state.SaveFloors(), t.lease.Resign(context.WithoutCancel(ctx)))
	})
}

// member returns the name of this controller among the others, which it gets once.
func (c *Controller) member() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name of this controller: %w", err)
	}
	id, err := os.ReadFile(c.path(memberFile))
	if errors.Is(err, os.ErrNotExist) {
		id = []byte(rand.Text() + "\n")
		err = durable.WriteFile(c.path(memberFile), id, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("name of this controller: %w", err)
	}
	return host + "-" + strings.TrimSpace(string(id)), nil
}

// connectStandby connects to NATS for the lease and the shared state alone: what the
// rest of the controller sends holds it not up.
func (c *Controller) connectStandby(ctx context.Context) (*bus.Conn, error) {
	cfg := c.o.Config.NATS
	credentials := cfg.CredentialsFile
	if credentials == "" {
		keys, err := natsd.OpenKeys(c.o.Config.StateDir)
		if err != nil {
			return nil, err
		}
		credentials = keys.ControllerCredentials()
	}
	conn, err := bus.Connect(context.WithoutCancel(ctx), bus.Options{
		Servers: cfg.servers(), Name: "kedge-controller-lease", Credentials: credentials, Outbound: cfg.TLS.outbound(),
		Backoff: bus.Backoff{Base: 100 * time.Millisecond, Cap: time.Second}, Log: c.log,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c.closing("NATS connection of the lease", func() error { conn.Break(); return nil }) // every answer was waited for
	return conn, nil
}

// waiting is a controller that does not lead.
type waiting struct {
	c      *Controller
	conn   *bus.Conn
	fleet  *bus.Fleet
	state  *replica.Store
	next   time.Time // when to follow again
	silent silence
	said   string
	news   news

	mu  sync.Mutex // guards what follows
	why error      // it is not ready
}

// look follows the one that leads, and notes who that is. It makes the bucket of the
// lease if there is none.
func (w *waiting) look(ctx context.Context, holder string, err error) {
	if errors.Is(err, bus.ErrNoResponders) {
		err = errors.Join(err, w.ensure(ctx))
	} else if err == nil && !w.c.o.Now().Before(w.next) {
		if err = w.state.Follow(ctx); err == nil {
			w.news.hear(w.c.o.Now())
		}
		w.next = w.c.o.Now().Add(followEvery)
	}
	if w.silent.over(err, w.c.o.Now()) {
		w.conn.Elsewhere()
	}
	why := fmt.Errorf("standby: %s leads", holder)
	if err != nil {
		why = fmt.Errorf("standby: %w", err)
	}
	if ctx.Err() == nil && w.said != why.Error() {
		w.said = why.Error()
		w.c.log.InfoContext(ctx, "stands by", "leader", holder, "err", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.why = why
}

func (w *waiting) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	return w.fleet.EnsureAssets(ctx, w.c.o.Config.NATS.Replicas)
}

func (w *waiting) ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

// serve serves health, metrics, and the cache of this controller, until the function that
// it returns is called.
func (w *waiting) serve(ctx context.Context) (stop func(), err error) {
	if err := w.c.openCertificate(); err != nil {
		return nil, err
	}
	cfg := w.c.o.Config.HTTP
	m := http.NewServeMux()
	pages{metrics: w.c.o.Registry, ready: w.ready, insiders: cfg.MetricsFrom}.health(m)
	binaries, err := w.c.standbyCache(&w.news)
	if err != nil {
		return nil, err
	}
	if binaries != nil {
		m.Handle("GET /cache/", http.StripPrefix("/cache", binaries))
	}
	m.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, errNotReady) })
	web, err := listenWeb(ctx, cfg.Listen, w.c.tlsFor("h2", "http/1.1"), forwarded.Believing(cfg.TrustedProxies, http.MaxBytesHandler(m, maxBody)), w.c.log)
	if err != nil {
		return nil, err
	}
	w.c.log.InfoContext(ctx, "serves health, metrics and its cache", "http", web.listener.Addr().String())
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- web.run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.c.log.WarnContext(ctx, "HTTP of the standby", "err", err)
		}
	}, nil
}
