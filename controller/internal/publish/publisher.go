package publish

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"kedge/controller/internal/sign"
	"kedge/proto"
	"kedge/proto/bus"
)

// A Signer makes assignments.
type Signer interface {
	Assign(o sign.Order) (proto.Envelope, error)
	Renew(assignment proto.Envelope, issued time.Time, caches []string) (proto.Envelope, error)
	ReleaseKeys() []proto.PublicKey
	ControllerKeys() []proto.PublicKey
}

// Options is what a [Publisher] needs.
type Options struct {
	Shelf  Shelf        // required
	Bus    Bus          // required
	Signer Signer       // required
	Caches []string     // URLs that hosts fetch from; part of every assignment
	Log    *slog.Logger // required

	// Published hears of what was made durable for a host, before it is on the
	// bus. It must not call the publisher. Optional.
	Published func(proto.HostName, proto.Target)
	Now       func() time.Time // defaults to time.Now
}

// A Publisher publishes. Safe for concurrent use; calls about different hosts do
// not wait for each other.
type Publisher struct {
	o Options

	mu    sync.Mutex // guards hosts, not what they hold
	hosts map[proto.HostName]*host
}

// Open loads what was published before.
func Open(o Options) (*Publisher, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Published == nil {
		o.Published = func(proto.HostName, proto.Target) {}
	}
	records, err := o.Shelf.Load()
	if err != nil {
		return nil, err
	}
	o.Bus = boundedBus{o.Bus}
	p := &Publisher{o: o, hosts: map[proto.HostName]*host{}}
	for _, r := range records {
		p.hosts[r.Host] = newHost(r)
		o.Published(r.Host, r.Target)
	}
	return p, nil
}

// Publish says to the release's host that it shall run it, under a new serial.
// When it returns nil that is durable, and on its way: if the bus cannot be
// reached then [Publisher.Sync] puts it there later. The actor is for the audit
// trail.
func (p *Publisher) Publish(ctx context.Context, actor string, release proto.Envelope, mode proto.Mode) (proto.Serial, error) {
	r, err := proto.OpenRelease(release, p.o.Signer.ReleaseKeys(), 1)
	if err != nil {
		return 0, fmt.Errorf("publish a release: %w", err)
	}
	h := p.host(r.Host)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := p.look(ctx, r.Host, h); err != nil && !bus.Transient(err) {
		return 0, fmt.Errorf("publish %s for %s: %w", r.Toplevel.Base(), r.Host, err)
	}
	next, err := p.sign(r, release, mode, h.record)
	if err != nil {
		return 0, fmt.Errorf("publish %s for %s: %w", r.Toplevel.Base(), r.Host, err)
	}
	if err := p.save(h, next); err != nil {
		return 0, fmt.Errorf("publish %s for %s: %w", r.Toplevel.Base(), r.Host, err)
	}
	if err := p.deliver(ctx, h); err != nil {
		return 0, fmt.Errorf("publish %s for %s: %w", r.Toplevel.Base(), r.Host, err)
	}
	p.audit(ctx, actor, h.record)
	return h.record.Target.Serial, nil
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

// sign returns the record that follows before, with r assigned.
func (p *Publisher) sign(r proto.Release, release proto.Envelope, mode proto.Mode, before Record) (Record, error) {
	now := p.o.Now().UTC()
	serial := before.Target.Serial + 1
	assignment, err := p.o.Signer.Assign(sign.Order{
		Release: release, Serial: serial, Issued: now, Mode: mode, Caches: p.o.Caches,
	})
	if err != nil {
		return Record{}, fmt.Errorf("sign assignment %s: %w", serial, err)
	}
	return Record{
		Host:    r.Host,
		Target:  proto.Target{Serial: serial, Toplevel: r.Toplevel, Revision: r.Revision, Published: now},
		Issued:  now,
		Mode:    mode,
		Release: r.Serial,
		Desired: proto.Desired{Format: proto.Format1, Release: release, Assignment: assignment},
	}, nil
}

// save makes r the host's durable truth. The caller holds h.mu.
func (p *Publisher) save(h *host, r Record) error {
	if _, err := r.Desired.Encode(); err != nil {
		return err
	}
	if err := p.o.Shelf.Save(r); err != nil {
		return fmt.Errorf("save what %s shall run: %w", r.Host, err)
	}
	h.set(r, false)
	p.o.Published(r.Host, r.Target)
	return nil
}

// deliver puts h's record on the bus, above whatever is there. That the bus cannot be reached is no error
// here: the record is durable, and the next sync delivers it. The caller holds
// h.mu.
func (p *Publisher) deliver(ctx context.Context, h *host) error {
	err := p.put(ctx, h, true)
	if err == nil || !bus.Transient(err) {
		return err
	}
	p.o.Log.WarnContext(ctx, "desired state not on the bus yet", "host", h.record.Host, "serial", h.record.Target.Serial, "err", err)
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
