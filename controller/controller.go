package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"kedge/controller/internal/backup"
	"kedge/controller/internal/buildlog"
	"kedge/controller/internal/certificate"
	"kedge/controller/internal/enroll"
	"kedge/controller/internal/httpapi"
	"kedge/controller/internal/pass"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/sign"
	"kedge/internal/durable"
	"kedge/proto"
	"kedge/proto/bus"
)

// Where things are below the state directory.
const (
	keysDir         = "keys"
	desiredDir      = "desired"
	hostsDir        = "hosts"
	operatorsFile   = "operators.json"
	channelsDir     = "channels"
	rolloutsDir     = "rollouts"
	holdsFile       = "holds.json"
	withdrawalsFile = "withdrawals.json"
	adminFile       = "admin.creds"
)

// connectTimeout is how long a start waits for NATS before it goes on without,
// and then for operators' calls to be answered: both within the 90 s that systemd
// gives a service.
const connectTimeout = 15 * time.Second

// Options is what a controller is made of.
type Options struct {
	Config   Config               // required, and valid
	Log      *slog.Logger         // required
	Registry *prometheus.Registry // required; also what /metrics shows
	Version  string               // required, a semantic version
	Parts    *Parts               // defaults to NewParts
	Notify   func(state string)   // tells the service manager, as sd_notify does; defaults to nothing
	Now      func() time.Time     // defaults to time.Now
}

// A Controller is a controller, open and ready to run.
type Controller struct {
	o       Options
	log     *slog.Logger
	closers []closer

	fleet     *Fleet
	pipelines map[string]*Pipeline // by channel; none if nothing is built here
	sources   map[string]Source    // of the pipelines
	rollouts  *rollouts
	publisher *publish.Publisher
	keeper    *keeper
	feeds     *feeds
	leases    *leases
	kept      *keptRevisions
	logs      *buildlog.Book
	retention *retention // nil if nobody prunes the cache
	enrolment http.Handler
	webhooks  http.Handler
	renewals  func(context.Context) error // of hosts' credentials

	notifications func(context.Context) error // of people
	serving       chan struct{}               // closed once operators' calls are answered
	service       *bus.Service
	http          *httpapi.Handler
	web           *httpServer
	visitors      *visitors                // of NATS, by way of web
	cert          *certificate.Certificate // nil without TLS
	passes        *pass.Office             // nil where there are no tokens for the cache
	conn          *bus.Conn
	authority     Authority
	natsURL       string
	signer        *sign.Signer
	term          *term // nil where there is one controller
}

// closer ends something that was opened.
type closer struct {
	name  string
	close func() error
}

// Open opens everything that a controller needs, and serves nobody yet but NATS'
// clients. The controller must be closed.
func Open(ctx context.Context, o Options) (*Controller, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	c := &Controller{o: o, log: o.Log, fleet: NewFleet(o.Now), visitors: newVisitors(), pipelines: map[string]*Pipeline{}, serving: make(chan struct{})}
	c.logs = buildlog.Open(c.path(buildLogsDir), o.Config.Build.KeepRevisions)
	c.kept = &keptRevisions{path: c.path(keptRevisionsFile), max: o.Config.Cache.KeepRevisions, followed: o.Config.follows, shared: c.shared}
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Controller) open(ctx context.Context) error {
	cfg := c.o.Config
	if err := durable.MkdirAll(filepath.Join(cfg.StateDir, keysDir), 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	lock, err := lockState(cfg.StateDir)
	if err != nil {
		return err
	}
	c.closing("lock", lock.Close)
	if err := backup.Unfinished(cfg.StateDir); err != nil {
		return err
	}
	if err := c.standBy(ctx); err != nil {
		return err
	}
	signer, err := c.openSigner(ctx)
	if err != nil {
		return err
	}
	c.signer = signer
	book, err := enroll.Open(c.path(hostsDir))
	if err != nil {
		return err
	}
	operators, err := enroll.OpenOperators(c.path(operatorsFile))
	if err != nil {
		return err
	}
	book.Shared, operators.Shared = c.shared, c.shared
	parts, err := c.openParts()
	if err != nil {
		return err
	}
	if err := errors.Join(c.openCertificate(), c.openPasses()); err != nil {
		return err
	}
	server, err := c.connect(ctx, book, operators)
	if err != nil {
		return err
	}
	if err := c.wire(*parts, signer, book, operators, server); err != nil {
		return err
	}
	if err := c.listen(ctx, parts.Cache.Handler(c.porter(book)), server); err != nil {
		return err
	}
	if c.term != nil { // what a first start made is there now
		if err := c.term.keys(); err != nil {
			return err
		}
	}
	if err := c.writeAccess(); err != nil {
		return err
	}
	if c.authority == Authority(foreignNATS{}) {
		return nil // its operators are not ours to name
	}
	return c.writeAdminCredentials(ctx, book, operators)
}

// Run runs the controller until ctx ends, and returns when nothing of it runs
// any more; nil if ctx was the reason. What was being published is published.
func (c *Controller) Run(ctx context.Context) error {
	c.start(ctx)
	g, ctx := errgroup.WithContext(ctx)
	for name, run := range map[string]func(context.Context) error{
		"HTTP server": c.web.run, "keeper": c.keeper.run, "pipelines": c.build, "rollouts": c.rollouts.run,
		"operator API": c.service.Run, "operator API over HTTP": c.http.Run, "statuses": c.feeds.statuses, "heartbeats": c.feeds.heartbeats,
		"events": c.feeds.events, "sweep": c.feeds.sweep, "sources": c.watchSources,
		"leases": c.leases.run, "look at leases": c.leases.look, "renewals": c.renewals, "certificate": c.watchCertificate, "retention": c.prune, "leader": c.lead, "notifications": c.notifications,
		"accounts of NATS": c.repeatAccounts,
	} {
		g.Go(func() error {
			if err := run(ctx); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	c.sayReady(ctx)
	err := g.Wait()
	c.o.Notify("STOPPING=1")
	return err
}

// sayReady says that operators' calls are answered as soon as that is so. Without
// NATS it is not, but the rest of the controller goes on, and is not to be taken
// for dead.
func (c *Controller) sayReady(ctx context.Context) {
	t := time.NewTimer(connectTimeout)
	defer t.Stop()
	select {
	case <-c.serving:
	case <-t.C:
		c.log.WarnContext(ctx, "operators' calls are not answered yet")
	case <-ctx.Done():
		return
	}
	c.o.Notify("READY=1")
	pin, _ := c.Pin() // empty without TLS
	c.log.InfoContext(ctx, "controller runs", "version", c.o.Version, "nats", c.natsURL, "http", c.HTTPAddress(), "pin", pin)
}

// start brings NATS in step. If that cannot be done soon then it happens later:
// the service manager, and the HTTP clients, wait for what comes after it.
func (c *Controller) start(ctx context.Context) {
	soon, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	err := c.conn.AwaitConnected(soon)
	if err == nil {
		err = c.keeper.once(soon)
	}
	if err != nil && ctx.Err() == nil {
		c.log.WarnContext(ctx, "started without NATS in step", "err", err)
	}
}

// Close ends everything that Open opened, the last first.
func (c *Controller) Close() error {
	var errs []error
	for _, cl := range slices.Backward(c.closers) {
		if err := cl.close(); err != nil {
			errs = append(errs, fmt.Errorf("close the %s: %w", cl.name, err))
		}
	}
	c.closers = nil
	return errors.Join(errs...)
}

// NATSURL returns where programs on this machine reach NATS.
func (c *Controller) NATSURL() string { return c.natsURL }

// HTTPAddress returns the address that HTTP is served on.
func (c *Controller) HTTPAddress() string { return c.web.listener.Addr().String() }

// AdminCredentials returns the path of the credentials that Open makes for the
// administrator of this machine, if the NATS server is embedded.
func (c *Controller) AdminCredentials() string { return c.path(adminFile) }

// Trust returns what hosts have to trust.
func (c *Controller) Trust() proto.Trust {
	return proto.Trust{
		ReleaseKeys: c.signer.ReleaseKeys(), ReleaseThreshold: c.signer.Threshold(),
		ControllerKeys: slices.Concat(c.signer.ControllerKeys(), c.signer.SpareKeys()),
	}
}

func (c *Controller) path(name string) string { return filepath.Join(c.o.Config.StateDir, name) }

func (c *Controller) closing(name string, f func() error) {
	c.closers = append(c.closers, closer{name: name, close: f})
}
