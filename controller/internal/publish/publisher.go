package publish

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kedge/controller/internal/sign"
	"kedge/proto"
	"kedge/proto/bus"
)

// A Signer verifies releases and makes assignments.
type Signer interface {
	OpenRelease(e proto.Envelope) (proto.Release, error)
	OpenAssignment(e proto.Envelope) (proto.Assignment, error)
	OpenWithdrawals(e proto.Envelope) (proto.Withdrawals, error)
	OpenReset(e proto.Envelope) (proto.Reset, error)
	Reset(r proto.Reset) (proto.Envelope, error)
	Assign(o sign.Order) (proto.Envelope, error)
	Renew(assignment proto.Envelope, issued time.Time, near, caches []string, token proto.CacheToken) (proto.Envelope, error)
	Countersign(release proto.Envelope) proto.Envelope
	CountersignWithdrawals(list proto.Envelope) proto.Envelope
	// Stale reports whether a key has not signed yet that should have, and Spared
	// whether an assignment must not be signed anew.
	Stale(d proto.Desired) bool
	Spared(assignment proto.Envelope, now time.Time) bool
}

var _ Signer = (*sign.Signer)(nil)

// An Order is what shall be published.
type Order struct {
	Release proto.Envelope
	Mode    proto.Mode
	// Newer refuses a release that is older than one that was published before.
	Newer bool
	// Assignment is one that a spare key signed. Nil has one made, with our keys.
	Assignment *proto.Envelope
}

// Options is what a [Publisher] needs.
type Options struct {
	Shelf  Shelf        // required
	Bus    Bus          // required
	Signer Signer       // required
	Caches []string     // URLs of the controller's that hosts fetch from; part of every assignment
	Others []string     // URLs of caches of others that all hosts ask before these
	Log    *slog.Logger // required

	// Token makes the token with which a host reads the caches from an instant on.
	// Nil where they ask for none.
	Token func(proto.HostName, time.Time) proto.CacheToken
	// Since tells from which second on a host has its key: a token that is older does
	// not count, and so another is made. Nil where that never changes.
	Since func(proto.HostName) time.Time
	// Accepted returns the highest serial that a host said it accepted, which may be
	// zero: below it, it takes nothing, whatever became of what was known here. Optional.
	Accepted func(proto.HostName) proto.Serial
	// Published hears of what was made durable for a host, before it is on the
	// bus. It must not call the publisher. Optional.
	Published func(proto.HostName, proto.Target)
	// Late hears that something is durable and could not be put on the bus: Sync is to be
	// called soon. It must not call the publisher. Optional.
	Late func()
	Now  func() time.Time // defaults to time.Now
}

// A Publisher publishes. Safe for concurrent use; calls about different hosts do
// not wait for each other.
type Publisher struct {
	o       Options
	private bool // assignments have a token

	mu    sync.Mutex // guards hosts, not what they hold
	hosts map[proto.HostName]*host

	listed      atomic.Bool // every host is known that the bus has something of
	withdrawals withdrawals
	near        near
}

// Open loads what was published before.
func Open(o Options) (*Publisher, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Published == nil {
		o.Published = func(proto.HostName, proto.Target) {}
	}
	if o.Late == nil {
		o.Late = func() {}
	}
	if o.Accepted == nil {
		o.Accepted = func(proto.HostName) proto.Serial { return 0 }
	}
	if o.Since == nil {
		o.Since = func(proto.HostName) time.Time { return time.Time{} }
	}
	private := o.Token != nil
	if !private {
		o.Token = func(proto.HostName, time.Time) proto.CacheToken { return proto.CacheToken{} }
	}
	records, err := o.Shelf.Load()
	if err != nil {
		return nil, err
	}
	o.Bus = boundedBus{o.Bus}
	p := &Publisher{o: o, private: private, hosts: map[proto.HostName]*host{}}
	if err := p.withdrawals.load(o.Shelf); err != nil {
		return nil, err
	}
	for _, r := range records {
		p.hosts[r.Host] = newHost(r)
		o.Published(r.Host, r.Target)
	}
	return p, nil
}

// Publish says to the release's host that it shall run it, under a new serial, or
// under that of the order's assignment: what that says already is said again.
// When it returns nil that is durable, and on its way: if the bus cannot be
// reached then [Publisher.Sync] puts it there later. The actor is for the audit
// trail.
func (p *Publisher) Publish(ctx context.Context, actor string, o Order) (proto.Serial, error) {
	r, err := p.o.Signer.OpenRelease(o.Release)
	if err != nil {
		return 0, fmt.Errorf("publish a release: %w", err)
	}
	h := p.host(r.Host)
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.record
	if err := p.look(ctx, r.Host, h); err != nil && !bus.Transient(err) {
		return 0, fmt.Errorf("publish %s for %s: %w", r.Toplevel.Base(), r.Host, err)
	}
	if h.record.newer(known) && h.record.says(r, o) {
		return h.record.Target.Serial, nil // it was published, and that was forgotten here
	}
	before := h.record
	if err := p.publish(ctx, h, r, o); err != nil {
		return 0, fmt.Errorf("publish %s for %s: %w", r.Toplevel.Base(), r.Host, err)
	}
	if h.record.newer(before) {
		p.audit(ctx, actor, h.record)
	}
	return h.record.Target.Serial, nil
}

// publish publishes r, which is in o. The caller holds h.mu.
func (p *Publisher) publish(ctx context.Context, h *host, r proto.Release, o Order) error {
	if err := p.takes(r, o, h.record); err != nil {
		return err
	}
	next, err := p.next(r, o, h.record)
	if err != nil {
		return err
	}
	if err := p.save(h, next); err != nil {
		return err
	}
	return p.deliver(ctx, h, o.Assignment == nil)
}

// NextRelease returns the serial of the next release to be made for a host.
func (p *Publisher) NextRelease(name proto.HostName) proto.Serial {
	h := p.host(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.record.Release + 1
}

// Oldest returns when the oldest of all assignments was issued; zero if there is
// none. It waits for no publication.
func (p *Publisher) Oldest() time.Time {
	var oldest time.Time
	for _, name := range p.names() {
		if t := p.host(name).shown.Load().issued; !t.IsZero() && (oldest.IsZero() || t.Before(oldest)) {
			oldest = t
		}
	}
	return oldest
}

// Toplevels returns what a host is to run, and may run still or go back to. It
// waits for no publication.
func (p *Publisher) Toplevels(name proto.HostName) []proto.StorePath {
	p.mu.Lock()
	h := p.hosts[name]
	p.mu.Unlock()
	if h == nil {
		return nil
	}
	return h.shown.Load().toplevels
}

// next returns the record that follows before, with r, which is in o, assigned.
func (p *Publisher) next(r proto.Release, o Order, before Record) (Record, error) {
	if o.Assignment != nil {
		return p.spared(r, o, before)
	}
	now, near := p.o.Now().UTC(), p.near.of(r.Host, before.Near)
	serial := max(before.Target.Serial, p.accepted(before.Target.Serial, r.Host)) + 1
	assignment, err := p.o.Signer.Assign(sign.Order{
		Release: o.Release, Serial: serial, Issued: now, Mode: o.Mode, Near: slices.Concat(near, p.o.Others), Caches: p.o.Caches,
		CacheToken: p.o.Token(r.Host, now),
	})
	if err != nil {
		return Record{}, fmt.Errorf("sign assignment %s: %w", serial, err)
	}
	return p.assign(Record{
		Host:    r.Host,
		Target:  target(r, o.Release, serial, now),
		Issued:  now,
		Mode:    o.Mode,
		Token:   p.private,
		Near:    near,
		Release: max(r.Serial, before.Release),
	}, before, o.Release, assignment), nil
}

// accepted returns the highest serial that a host accepted, where serial is what is
// known here: zero if it says one that no host would have taken after that.
func (p *Publisher) accepted(serial proto.Serial, host proto.HostName) proto.Serial {
	a := p.o.Accepted(host)
	if a > serial && a-serial > proto.MaxSerialJump {
		return 0
	}
	return a
}

func target(r proto.Release, release proto.Envelope, serial proto.Serial, published time.Time) proto.Target {
	return proto.Target{
		Serial: serial, Toplevel: r.Toplevel, Revision: r.Revision, Published: published, Release: proto.DigestOf(release.Payload),
	}
}

// save makes r the host's durable truth. The caller holds h.mu.
func (p *Publisher) save(h *host, r Record) error {
	if _, err := r.Desired.Encode(); err != nil {
		return err
	}
	r = r.after(h.record)
	if err := p.o.Shelf.Save(r); err != nil {
		return fmt.Errorf("save what %s shall run: %w", r.Host, err)
	}
	h.set(r, false)
	p.o.Published(r.Host, r.Target)
	return nil
}

// deliver puts h's record on the bus, and, if it insists, above whatever is there.
// That the bus cannot be reached is no error here: the record is durable, and the
// next sync delivers it. The caller holds h.mu.
func (p *Publisher) deliver(ctx context.Context, h *host, insist bool) error {
	err := p.put(ctx, h, insist)
	if err == nil || !bus.Transient(err) {
		return err
	}
	p.o.Log.WarnContext(ctx, "desired state not on the bus yet", "host", h.record.Host, "serial", h.record.Target.Serial, "err", err)
	p.o.Late()
	return nil
}

func (p *Publisher) audit(ctx context.Context, actor string, r Record) {
	err := p.o.Bus.Audit(ctx, proto.AuditEntry{
		Format: proto.Format1, Time: r.Target.Published, Actor: actor, Act: proto.ActPublish, Host: r.Host,
		Serial: r.Target.Serial, Toplevel: r.Target.Toplevel, Revision: r.Target.Revision,
	})
	if err != nil { // the statement itself is durable, and says the same
		p.o.Log.WarnContext(ctx, "audit entry lost", "host", r.Host, "serial", r.Target.Serial, "err", err)
	}
}

// host returns the state of a host, which may be new.
func (p *Publisher) host(name proto.HostName) *host {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, known := p.hosts[name]
	if !known {
		h = newHost(Record{})
		p.hosts[name] = h
	}
	return h
}

func (p *Publisher) names() []proto.HostName {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Keys(p.hosts), proto.HostName.Compare)
}
