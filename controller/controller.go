package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"kedge/controller/internal/enroll"
	"kedge/controller/internal/natsd"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/sign"
	"kedge/internal/durable"
	"kedge/proto"
	"kedge/proto/bus"
)

// Where things are below the state directory.
const (
	keysDir     = "keys"
	desiredDir  = "desired"
	hostsDir    = "hosts"
	rolloutFile = "rollout.json"
	adminFile   = "admin.creds"
)

// connectTimeout is how long a start waits for NATS before it goes on without.
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

	fleet    *Fleet
	pipeline *Pipeline
	runner   *runner
	rollouts *rolloutStore
	keeper   *keeper
	feeds    *feeds
	service  *bus.Service
	web      *web
	conn     *bus.Conn
	natsURL  string
	signer   *sign.Signer
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
	c := &Controller{o: o, log: o.Log, fleet: NewFleet(o.Now)}
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
	signer, err := sign.Open(sign.Options{Dir: c.path(keysDir), Name: keyName(), Trusted: cfg.Keys.Release})
	if err != nil {
		return fmt.Errorf("open the keys: %w", err)
	}
	c.signer = signer
	book, err := enroll.Open(c.path(hostsDir))
	if err != nil {
		return err
	}
	parts := c.o.Parts
	if parts == nil {
		p, err := NewParts(cfg, c.log)
		if err != nil {
			return err
		}
		parts = &p
	}
	keys, err := c.connect(ctx)
	if err != nil {
		return err
	}
	if err := c.wire(*parts, signer, book, keys); err != nil {
		return err
	}
	c.web, err = listenWeb(ctx, cfg.HTTP.Listen, mux(parts.Cache.Handler(), c.o.Registry, c.keeper.ready), c.log)
	if err != nil {
		return err
	}
	c.closing("HTTP listener", func() error { return closed(c.web.listener.Close()) })
	return c.writeAdminCredentials(keys)
}

// connect starts the embedded NATS server, unless there is another, and begins
// to connect.
func (c *Controller) connect(ctx context.Context) (*natsd.Keys, error) {
	cfg := c.o.Config
	var keys *natsd.Keys
	credentials := cfg.NATS.CredentialsFile
	c.natsURL = cfg.NATS.URL
	if cfg.NATS.URL == "" {
		server, err := natsd.Start(ctx, natsd.Options{StateDir: cfg.StateDir, Listen: cfg.NATS.Listen, Log: c.log})
		if err != nil {
			return nil, fmt.Errorf("start the NATS server: %w", err)
		}
		c.closing("NATS server", func() error { server.Shutdown(); return nil })
		keys, credentials, c.natsURL = server.Keys, server.ControllerCredentials(), server.ClientURL()
	} else {
		k, err := natsd.OpenKeys(cfg.StateDir)
		if err != nil {
			return nil, fmt.Errorf("open the NATS keys: %w", err)
		}
		keys = k
	}
	// What is under way when ctx ends is still to be published; Close ends it.
	conn, err := bus.Connect(context.WithoutCancel(ctx), bus.Options{
		Servers: []string{c.natsURL}, Name: "kedge-controller", Credentials: credentials,
		Backoff: bus.Backoff{Base: 250 * time.Millisecond, Cap: 10 * time.Second}, Log: c.log,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c.closing("NATS connection", func() error { conn.Close(); return nil })
	c.conn = conn
	return keys, nil
}

// wire makes the parts of the controller from what was opened.
func (c *Controller) wire(parts Parts, signer *sign.Signer, book *enroll.Book, keys *natsd.Keys) error {
	cfg, now := c.o.Config, c.o.Now
	m := newMetrics(c.o.Registry)
	busFleet := bus.NewFleet(c.conn, c.log)
	publisher, err := publish.Open(publish.Options{
		Shelf: publish.Files{Dir: c.path(desiredDir)}, Bus: busFleet, Signer: signer, Caches: cfg.Cache.URLs,
		Published: c.fleet.Want, Now: now, Log: c.log,
	})
	if err != nil {
		return err
	}
	for _, h := range book.Hosts() {
		c.fleet.Know(h)
	}
	c.fleet.Looked(proto.SourceStatus{URL: parts.Source.URL(), Branch: parts.Source.Branch()})
	c.keeper = &keeper{conn: c.conn, bus: busFleet, publisher: publisher, log: c.log}
	c.feeds = &feeds{bus: busFleet, fleet: c.fleet, metrics: m, log: c.log}
	c.rollouts = &rolloutStore{path: c.path(rolloutFile), bucket: busFleet}
	c.runner = &runner{
		publisher: publisher, signer: signer, closures: parts.Cache, fleet: c.fleet, saver: c.rollouts, now: now, log: c.log,
	}
	c.pipeline = NewPipeline(PipelineOptions{
		Source: parts.Source, Fleet: c.fleet, Poll: cfg.Source.Poll, Now: now, Log: c.log,
		Deployer: &deployer{
			source: parts.Source, builder: parts.Builder, cache: parts.Cache, runner: c.runner,
			fleet: c.fleet, metrics: m, now: now, log: c.log,
		},
	})
	anchors := c.anchors(parts.Cache, signer)
	a := &api{
		fleet: c.fleet, history: busFleet, trigger: c.pipeline.Trigger, issuer: keys, book: book, anchors: anchors,
		metrics: m, now: now, log: c.log,
		importer: &importer{
			fleet: c.fleet, relay: parts.Cache, check: parts.CheckToplevel, root: parts.Builder.Root,
			trusted: append([]proto.PublicKey{parts.Cache.PublicKey()}, cfg.Keys.Cache...), runner: c.runner, log: c.log,
		},
	}
	c.service = bus.NewService(bus.ServiceOptions{Conn: c.conn, Version: c.o.Version, Log: c.log})
	a.register(c.service)
	collector := newFleetCollector(c.fleet, publisher.Oldest, publisher.Unsynced, func() bool { return c.conn.State().Connected })
	if err := c.o.Registry.Register(collector); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// anchors returns what a new host needs besides its own credentials.
func (c *Controller) anchors(cache Cache, signer *sign.Signer) proto.HostAddReply {
	cfg := c.o.Config
	servers := cfg.NATS.Advertise
	if len(servers) == 0 {
		servers = []string{cfg.NATS.URL}
	}
	cacheKeys := []string{cache.PublicKey().String()}
	for _, k := range cfg.Keys.Cache {
		cacheKeys = append(cacheKeys, k.String())
	}
	return proto.HostAddReply{
		ReleaseKeys: signer.ReleaseKeys(), ControllerKeys: signer.ControllerKeys(),
		CacheKeys: cacheKeys, Servers: servers, Caches: cfg.Cache.URLs,
	}
}

// writeAdminCredentials makes the credentials of whoever is root on this
// machine, once.
func (c *Controller) writeAdminCredentials(keys *natsd.Keys) error {
	path := c.AdminCredentials()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	text, err := keys.OperatorCredentials(proto.RoleAdmin, "admin")
	if err != nil {
		return fmt.Errorf("make credentials for the administrator: %w", err)
	}
	if err := durable.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write the administrator's credentials: %w", err)
	}
	return nil
}

// Run runs the controller until ctx ends, and returns when nothing of it runs
// any more; nil if ctx was the reason. What was being published is published.
func (c *Controller) Run(ctx context.Context) error {
	c.start(ctx)
	g, ctx := errgroup.WithContext(ctx)
	for name, run := range map[string]func(context.Context) error{
		"HTTP server": c.web.run, "keeper": c.keeper.run, "pipeline": c.pipeline.Run, "rollout": c.runner.run,
		"operator API": c.service.Run, "statuses": c.feeds.statuses, "heartbeats": c.feeds.heartbeats,
		"events": c.feeds.events, "sweep": c.feeds.sweep,
	} {
		g.Go(func() error {
			if err := run(ctx); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	c.o.Notify("READY=1")
	c.log.InfoContext(ctx, "controller runs", "version", c.o.Version, "nats", c.natsURL, "http", c.HTTPAddress())
	err := g.Wait()
	c.o.Notify("STOPPING=1")
	return err
}

// start brings NATS in step and takes up the rollout. If NATS cannot be reached
// then that happens later, and nothing else waits for it.
func (c *Controller) start(ctx context.Context) {
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	err := c.conn.AwaitConnected(connecting)
	if err == nil {
		err = c.keeper.once(ctx)
	}
	if err != nil {
		c.log.WarnContext(ctx, "started without NATS", "err", err)
	}
	saved, found, err := c.rollouts.Load(ctx)
	switch {
	case err != nil:
		c.log.WarnContext(ctx, "rollout not taken up; the newest revision begins another", "err", err)
	case found:
		c.runner.resume(saved)
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
// administrator of this machine.
func (c *Controller) AdminCredentials() string { return c.path(adminFile) }

// Keys returns the keys that hosts have to trust: of releases, and of
// assignments.
func (c *Controller) Keys() (release, controller []proto.PublicKey) {
	return c.signer.ReleaseKeys(), c.signer.ControllerKeys()
}

func (c *Controller) path(name string) string { return filepath.Join(c.o.Config.StateDir, name) }

func (c *Controller) closing(name string, f func() error) {
	c.closers = append(c.closers, closer{name: name, close: f})
}
