package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller/internal/enroll"
	"kedge/controller/internal/httpapi"
	"kedge/controller/internal/lease"
	"kedge/controller/internal/natsd"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/sign"
	apidocs "kedge/docs/api"
	"kedge/internal/durable"
	"kedge/proto"
	"kedge/proto/bus"
)

// connect starts the embedded NATS server, which it returns, unless there is
// another, and begins to connect.
func (c *Controller) connect(ctx context.Context, book *enroll.Book, operators *enroll.Operators) (*natsd.Server, error) {
	c.authority = foreignNATS{}
	cfg := c.o.Config
	var server *natsd.Server
	credentials := cfg.NATS.CredentialsFile
	c.natsURL = cfg.NATS.URL
	if cfg.NATS.URL == "" {
		s, err := natsd.Start(ctx, natsd.Options{
			StateDir: cfg.StateDir, Listen: cfg.NATS.Listen, TLS: c.tlsFor(), Revoked: revoked(book, operators, c.o.Now()), Log: c.log,
		})
		if err != nil {
			return nil, fmt.Errorf("start the NATS server: %w", err)
		}
		c.closing("NATS server", func() error { s.Shutdown(); return nil })
		server, credentials, c.natsURL = s, s.ControllerCredentials(), s.ClientURL()
		c.authority = s
	} else if credentials == "" {
		remote, err := natsd.OpenRemote(natsd.RemoteOptions{StateDir: cfg.StateDir, URL: cfg.NATS.URL, Outbound: cfg.NATS.TLS.outbound(), Check: c.leading, Log: c.log})
		if err != nil {
			return nil, err
		}
		credentials, c.authority = remote.ControllerCredentials(), remote
		// What cannot be pushed is said in its log; Run tries again, or whoever runs the
		// server loads it.
		_ = remote.Sync(ctx, revoked(book, operators, c.o.Now()))
	}
	o := bus.Options{
		Servers: cfg.NATS.servers(), Name: "kedge-controller", Credentials: credentials,
		Outbound: cfg.NATS.TLS.outbound(), Backoff: bus.Backoff{Base: 250 * time.Millisecond, Cap: 10 * time.Second}, Log: c.log,
	}
	if server != nil {
		o.Servers, o.InProcess = nil, server
	}
	// What is under way when ctx ends is still to be published; Close ends it.
	conn, err := bus.Connect(context.WithoutCancel(ctx), o)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c.closing("NATS connection", func() error {
		if c.deposed() {
			conn.Break() // it may be why
		}
		conn.Close()
		return nil
	})
	c.conn = conn
	return server, nil
}

// foreignNATS is the [Authority] beside a NATS server that somebody else runs: only
// its accounts can vouch for hosts, and their keys are not here.
type foreignNATS struct{}

// HostJWT implements [Authority].
func (foreignNATS) HostJWT(host proto.HostName, _ string, _ time.Time) (string, error) {
	return "", errForeign(host)
}

// Config implements [Authority].
func (foreignNATS) Config(natsd.Revoked, bool) (string, error) {
	return "", bus.Errorf(bus.CodeRefused, "NATS has accounts that others made (nats.credentials_file): this controller does not know their keys")
}

// OperatorJWT implements [Authority].
func (foreignNATS) OperatorJWT(_ proto.Role, name, _ string, _ time.Time) (string, error) {
	return "", bus.Errorf(bus.CodeRefused,
		"operator %s: operators cannot be added here where NATS has accounts that others made (nats.credentials_file)", name)
}

func errForeign(host proto.HostName) error {
	return bus.Errorf(bus.CodeRefused,
		"host %s: hosts cannot be added here where NATS has accounts that others made (nats.url with nats.credentials_file): make its credentials with the accounts of that server", host)
}

// Revoke implements [Authority].
func (foreignNATS) Revoke(context.Context, natsd.Revoked) error {
	return bus.Errorf(bus.CodeRefused, "credentials cannot be revoked here where NATS has accounts that others made (nats.url with nats.credentials_file)")
}

// wire makes the parts of the controller from what was opened.
func (c *Controller) wire(parts Parts, signer *sign.Signer, book *enroll.Book, operators *enroll.Operators, server *natsd.Server) error {
	cfg, now := c.o.Config, c.o.Now
	m := newMetrics(c.o.Registry, slices.Collect(maps.Keys(parts.Sources))...)
	busFleet := bus.NewFleet(c.conn, c.log)
	if c.term != nil {
		busFleet.Queue = c.term.queue
	}
	publisher, err := publish.Open(publish.Options{
		Shelf: publish.Files{Dir: c.path(desiredDir), WithdrawalsFile: c.path(withdrawalsFile), Shared: c.shared}, Bus: c.fenced(busFleet), Signer: signer, Caches: cfg.Cache.own(), Others: cfg.Cache.others(),
		Published: c.fleet.Want, Late: func() { c.keeper.wake() }, Token: c.cacheTokens(), Since: since(book), Accepted: c.fleet.Accepted, Now: now, Log: c.log,
	})
	if err != nil {
		return err
	}
	c.publisher = publisher
	c.warnUnlisted(signer.ReleaseKeys(), signer.OwnReleaseKeys(), publisher.Withdrawals())
	c.keeper = &keeper{wakeup: make(chan struct{}, 1), conn: c.conn, assets: busFleet, replicas: cfg.NATS.Replicas, statements: publisher, log: c.log}
	if server != nil {
		c.keeper.server = server
	}
	busFleet.BrokeOff = c.keeper.wake
	c.feeds = &feeds{bus: busFleet, fleet: c.fleet, metrics: m, log: c.log}
	if err := c.wireRollouts(parts, signer, busFleet); err != nil {
		return err
	}
	if err := c.wireChannels(parts, m); err != nil {
		return err
	}
	a := &api{
		logs:  c.logs,
		fleet: c.fleet, history: busFleet, trigger: c.trigger(),
		metrics: m, now: now, log: c.log,
		importer: &importer{
			fleet: c.fleet, relay: parts.Cache, check: parts.CheckToplevel, builder: parts.Builder,
			trusted: append([]proto.PublicKey{parts.Cache.PublicKey()}, cfg.Keys.Cache...),
			signer:  signer, publisher: publisher, releaser: releaser{signer, publisher}, rollouts: c.rollouts, log: c.log,
			differ: differ{closures: parts.Cache, fleet: c.fleet, log: c.log},
		},
		rollouts: c.rollouts,
	}
	a.http = httpapi.New(httpapi.Options{
		Bearer: operators.Bearer, Description: apidocs.OpenAPI(), Now: now, Log: c.log,
		Refused: func(code bus.Code) { m.refusals.WithLabelValues(string(code)).Inc() },
	})
	c.http = a.http
	c.service = bus.NewService(bus.ServiceOptions{
		Conn: c.conn, Version: c.o.Version, Log: c.log, Serving: sync.OnceFunc(func() { close(c.serving) }),
		Locate: c.locate(server), Signer: c.signerOfCalls(operators), Queue: busFleet.Queue,
	})
	c.leases = &leases{
		ledger: lease.NewLedger(lease.Options{Bus: c.fencedControl(busFleet), Rules: cfg.Reboot.rules(), Now: now}),
		bus:    busFleet, fleet: c.fleet, audit: a.audit, metrics: m, now: now, log: c.log,
	}
	a.leases = c.leases
	a.identities = &identities{
		book: book, operators: operators, authority: c.authority, fleet: c.fleet, anchors: func() proto.HostAddReply { return c.anchors(parts.Cache, signer) }, access: c.access, audit: a.audit,
		lifetime: cfg.Enroll.Lifetime, urls: cfg.enrollURLs(), apiURLs: cfg.apiURLs(), wake: c.keeper.wake, free: c.leases.revoked, now: now, log: c.log,
	}
	a.identities.know()
	a.keys = &keyAPI{
		publisher: publisher, signer: signer, rollouts: c.rollouts, fleet: c.fleet, audit: a.audit, wake: c.keeper.wake, now: now, log: c.log,
	}
	c.enrolment = enroll.NewHandler(a.identities, now, c.log)
	c.renewals = func(ctx context.Context) error {
		if a.identities.foreign() {
			return nil // the hosts there are not ours
		}
		return busFleet.Renewals(ctx, a.identities.renew)
	}
	a.register(c.service)
	for _, collector := range []prometheus.Collector{
		newFleetCollector(c.fleet, publisher.Oldest, publisher.Unsynced, func() bool { return c.conn.State().Connected }),
		newLeaseCollector(c.leases.ledger, now),
		newRolloutCollector(c.fleet.Rollouts, c.rollouts.held),
		newLatencyCollector(c.rollouts.latencies),
		newBuildInfo(c.o.Version),
		newHostCollector(c.fleet, cfg.Metrics.Hosts),
	} {
		if err := c.o.Registry.Register(collector); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	if err := c.wireNotifications(); err != nil {
		return err
	}
	return c.wireRetention(parts)
}

// signerOfCalls tells whose key signed a call; nil beside our own server, which is
// believed, and where operators are not ours to name.
func (c *Controller) signerOfCalls(operators *enroll.Operators) func(string) (proto.Operator, error) {
	if c.o.Config.NATS.URL == "" || c.authority == Authority(foreignNATS{}) {
		return nil
	}
	return func(publicKey string) (proto.Operator, error) { return operators.Holder(publicKey, c.o.Now()) }
}

// locate tells where a caller is whom NATS sees come from our own HTTP server; nil
// beside another server.
func (c *Controller) locate(server *natsd.Server) func(uint64) string {
	if server == nil {
		return nil
	}
	return func(id uint64) string { return c.visitors.behind(server.ClientAddress(id)) }
}

// advertised returns the URLs under which others reach NATS.
func (c *Controller) advertised() []string {
	cfg := c.o.Config.NATS
	if len(cfg.Advertise) == 0 {
		return cfg.servers()
	}
	return cfg.Advertise
}

// anchors returns what a new host needs besides its own credentials.
func (c *Controller) anchors(cache Cache, signer *sign.Signer) proto.HostAddReply {
	cfg := c.o.Config
	cacheKeys := []string{cache.PublicKey().String()}
	for _, k := range cfg.Keys.Cache {
		cacheKeys = append(cacheKeys, k.String())
	}
	return proto.HostAddReply{
		ReleaseKeys: signer.ReleaseKeys(), ReleaseThreshold: signer.Threshold(),
		ControllerKeys: slices.Concat(signer.ControllerKeys(), signer.SpareKeys()),
		CacheKeys:      cacheKeys, Servers: c.advertised(), Caches: cfg.Cache.URLs, Pins: c.pins(), RenewURLs: cfg.enrollURLs(),
	}
}

// adminName returns what whoever is root on this machine is called: where there are
// several, each has a name of its own, since one replaces who had it before.
func (c *Controller) adminName() string {
	if c.term == nil {
		return "admin"
	}
	return "admin-" + keyName()
}

// writeAdminCredentials makes the credentials of whoever is root on this machine,
// unless they are there. Whoever was revoked gets others when the file is removed, and
// whoever has the ones before is out.
func (c *Controller) writeAdminCredentials(ctx context.Context, book *enroll.Book, operators *enroll.Operators) error {
	path := c.AdminCredentials()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	id, err := bus.NewIdentity()
	if err != nil {
		return fmt.Errorf("make credentials for the administrator: %w", err)
	}
	admin := proto.Operator{
		Name: c.adminName(), Role: proto.RoleAdmin, PublicKey: id.PublicKey, Added: c.o.Now().UTC(), By: proto.ServiceName,
	}
	jwt, err := c.authority.OperatorJWT(admin.Role, admin.Name, admin.PublicKey, admin.Expires)
	if err != nil {
		return fmt.Errorf("make credentials for the administrator: %w", err)
	}
	text, err := bus.FormatCredentials(jwt, id.Seed)
	if err != nil {
		return fmt.Errorf("make credentials for the administrator: %w", err)
	}
	if _, _, err := operators.Add(admin); err != nil { // one that was lost is revoked with this
		return err
	}
	if err := durable.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write the administrator's credentials: %w", err)
	}
	err = c.authority.Revoke(ctx, revoked(book, operators, c.o.Now()))
	if err != nil && !errors.Is(err, natsd.ErrPending) {
		return fmt.Errorf("shut out who has the administrator's credentials from before: %w", err)
	}
	return nil
}
