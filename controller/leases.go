package controller

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"kedge/controller/internal/lease"
	"kedge/proto"
	"kedge/proto/bus"
)

// leaseLook is how often it is looked for leases that another controller gave out.
const leaseLook = 15 * time.Second

// leases answers hosts that ask for leave to reboot, and operators who ask about it.
type leases struct {
	ledger  *lease.Ledger
	bus     *bus.Fleet
	fleet   *Fleet
	audit   func(context.Context, proto.AuditEntry)
	diary   diary // of what hosts do about their own leases
	metrics *metrics
	now     func() time.Time
	log     *slog.Logger
}

// run answers hosts until ctx ends.
func (l *leases) run(ctx context.Context) error { return l.bus.Leases(ctx, l.answer) }

// look keeps what the metrics show in step with other controllers.
func (l *leases) look(ctx context.Context) error {
	for {
		if _, err := l.ledger.Holders(ctx); err != nil && ctx.Err() == nil {
			l.log.DebugContext(ctx, "reboot leases not read", "err", err)
		}
		if !sleep(ctx, leaseLook) {
			return nil
		}
	}
}

// answer implements [bus.Lessor].
func (l *leases) answer(ctx context.Context, host proto.HostName, r proto.LeaseRequest) (proto.LeaseReply, error) {
	var reply proto.LeaseReply
	var result string
	var err error
	switch r.Action {
	case proto.LeaseAcquire:
		reply, result, err = l.acquire(ctx, host, r.Deployment)
	case proto.LeaseRelease:
		result, err = l.release(ctx, host)
	}
	if err != nil {
		l.metrics.leases.WithLabelValues(leaseFailed).Inc()
		return proto.LeaseReply{}, unavailable(string(r.Action)+" a reboot lease", err)
	}
	l.metrics.leases.WithLabelValues(result).Inc()
	return reply, nil
}

// acquire grants host a lease, unless it is revoked: it would not be heard of again. Who is
// revoked meanwhile has none in the end, either: it is known before [leases.revoked].
func (l *leases) acquire(ctx context.Context, host proto.HostName, deployment string) (reply proto.LeaseReply, result string, err error) {
	if l.isRevoked(host) {
		return noLease("this host is revoked"), leaseRefused, nil
	}
	a, err := l.ledger.Acquire(ctx, host, deployment)
	if err != nil {
		return proto.LeaseReply{}, "", err
	}
	if a.Granted && l.isRevoked(host) {
		_, _, err := l.ledger.Release(ctx, host)
		return noLease("this host is revoked"), leaseRefused, err
	}
	rules := l.ledger.Rules()
	for _, h := range a.Expired {
		l.log.WarnContext(ctx, "reboot lease expired", "host", h.Host, "deployment", h.Deployment, "asked", h.Asked, "for", host)
		l.note(ctx, proto.ServiceName, proto.ActLeaseExpire, h)
	}
	if !a.Granted {
		return noLease(fmt.Sprintf("%d of %d reboot leases are held", a.Held, rules.Slots)), leaseRefused, nil
	}
	if a.New {
		l.log.InfoContext(ctx, "reboot lease granted", "host", host, "deployment", deployment, "held", a.Held, "slots", rules.Slots)
		l.noteOwn(ctx, proto.ActLeaseAcquire, a.Lease)
	}
	return proto.LeaseReply{Granted: true, Since: a.Lease.Since, Expires: rules.Expires(a.Lease)}, leaseGranted, nil
}

func noLease(why string) proto.LeaseReply {
	return proto.LeaseReply{Reason: proto.ReasonNoLease, Message: why}
}

func (l *leases) isRevoked(host proto.HostName) bool {
	r, known := l.fleet.Host(host)
	return known && r.Host.Revoked()
}

func (l *leases) release(ctx context.Context, host proto.HostName) (result string, err error) {
	h, held, err := l.ledger.Release(ctx, host)
	if err != nil {
		return "", err
	}
	if !held {
		return leaseNotHeld, nil
	}
	l.log.InfoContext(ctx, "reboot lease released", "host", host, "deployment", h.Deployment)
	l.noteOwn(ctx, proto.ActLeaseRelease, h)
	return leaseReleased, nil
}

// list answers the operators' call of that name.
func (l *leases) list(ctx context.Context, _ bus.Caller, _ proto.LeaseListRequest) (proto.LeaseListReply, error) {
	holders, err := l.ledger.Holders(ctx)
	if err != nil {
		return proto.LeaseListReply{}, unavailable("read the reboot leases", err)
	}
	reply := proto.LeaseListReply{Slots: l.ledger.Rules().Slots, Leases: []proto.LeaseHolder{}}
	for _, h := range holders {
		reply.Leases = append(reply.Leases, l.view(h))
	}
	return reply, nil
}

// free answers the operators' call of that name. A host that has no lease already has none
// after it, either.
func (l *leases) free(ctx context.Context, c bus.Caller, r proto.LeaseFreeRequest) (proto.LeaseFreeReply, error) {
	if r.Host.IsZero() {
		return proto.LeaseFreeReply{}, bus.Errorf(bus.CodeBadRequest, "host: must be set")
	}
	h, held, err := l.take(ctx, r.Host, c.Name)
	if err != nil {
		return proto.LeaseFreeReply{}, err
	}
	if !held {
		if _, known := l.fleet.Host(r.Host); !known {
			return proto.LeaseFreeReply{}, unknownHost(r.Host)
		}
		return proto.LeaseFreeReply{}, nil
	}
	return proto.LeaseFreeReply{Freed: l.view(h)}, nil
}

// revoked takes the lease of a host, if it has one, which will not give it back by itself.
func (l *leases) revoked(ctx context.Context, host proto.HostName, by string) error {
	_, _, err := l.take(ctx, host, by)
	return err
}

// take has a lease be free that a host has, if it has one, because an operator wants it.
func (l *leases) take(ctx context.Context, host proto.HostName, by string) (h lease.Holder, held bool, err error) {
	h, held, err = l.ledger.Release(ctx, host)
	if err != nil {
		return h, held, unavailable("free the reboot lease", err)
	}
	if held {
		l.log.InfoContext(ctx, "reboot lease freed", "host", h.Host, "deployment", h.Deployment, "by", by)
		l.note(ctx, by, proto.ActLeaseFree, h)
	}
	return h, held, nil
}

// view returns a lease as operators see it.
func (l *leases) view(h lease.Holder) proto.LeaseHolder {
	v := proto.LeaseHolder{Host: h.Host, Deployment: h.Deployment, Since: h.Since, Expires: l.ledger.Rules().Expires(h)}
	if r, known := l.fleet.Host(h.Host); known {
		v.Seen, v.Silent = r.Host.Seen, r.Host.Silent
	}
	return v
}

// noteOwn adds to the audit what a host did about its own lease, but not all of what is too
// much.
func (l *leases) noteOwn(ctx context.Context, act proto.Act, h lease.Holder) {
	leftOut, entry := l.diary.enter(h.Host, l.now())
	switch {
	case entry:
		l.write(ctx, proto.ServiceName, act, h, leftOut)
	case leftOut == 1:
		l.log.WarnContext(ctx, "host asks for reboot leases and gives them back again and again; the audit does not have all of it", "host", h.Host)
	}
}

// note adds to the audit what was done about a lease.
func (l *leases) note(ctx context.Context, actor string, act proto.Act, h lease.Holder) {
	l.write(ctx, actor, act, h, 0)
}

func (l *leases) write(ctx context.Context, actor string, act proto.Act, h lease.Holder, leftOut int) {
	message := "since " + h.Since.Format(time.RFC3339)
	if h.Deployment != "" {
		message = "for " + h.Deployment + ", " + message
	}
	l.audit(ctx, proto.AuditEntry{Time: l.now().UTC(), Actor: actor, Act: act, Host: h.Host, Message: afterGap(message, leftOut)})
}
