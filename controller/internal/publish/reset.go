package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// Errors about resets.
var (
	ErrNothing      = errors.New("nothing was ever published for it")
	ErrNotWaitedFor = errors.New("it is not what the host waits for")
)

// assign makes release and assignment what r says, with today's withdrawals. What
// before had for a host that lost its floor stays.
func (p *Publisher) assign(r, before Record, release, assignment proto.Envelope) Record {
	r.Desired = proto.Desired{
		Format: proto.Format1, Release: release, Assignment: assignment,
		Withdrawals: p.withdrawals.list(), Reset: before.Desired.Reset,
	}
	r.Reset = before.Reset
	return r
}

// Reset lets a host accept again that lost its floor, and made a challenge: from
// what is assigned to it now. A nil envelope has our keys sign it. When it returns
// nil that is durable, and on its way.
func (p *Publisher) Reset(ctx context.Context, actor string, name proto.HostName, challenge string, signed *proto.Envelope) (proto.Serial, error) {
	h := p.host(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := p.reset(ctx, name, h, challenge, signed); err != nil {
		return 0, fmt.Errorf("reset %s: %w", name, err)
	}
	serial := h.record.Target.Serial
	err := p.o.Bus.Audit(ctx, proto.AuditEntry{
		Format: proto.Format1, Time: h.record.Reset, Actor: actor, Act: proto.ActHostReset, Host: name, Serial: serial,
	})
	if err != nil { // the statement itself is durable, and says the same
		p.o.Log.WarnContext(ctx, "audit entry lost", "act", proto.ActHostReset, "host", name, "err", err)
	}
	return serial, nil
}

// reset is Reset. The caller holds h.mu.
func (p *Publisher) reset(ctx context.Context, name proto.HostName, h *host, challenge string, signed *proto.Envelope) error {
	if err := p.look(ctx, name, h); err != nil && !bus.Transient(err) {
		return err
	}
	if h.record.Host.IsZero() {
		return ErrNothing
	}
	next := h.record
	next.Reset = p.o.Now().UTC()
	if signed == nil {
		e, err := p.o.Signer.Reset(proto.Reset{
			Host: next.Host, Challenge: challenge, Issued: next.Reset, Serial: next.Target.Serial, WithdrawalSerial: p.withdrawals.serial(),
		})
		if err != nil {
			return err
		}
		signed = &e
	}
	r, err := p.o.Signer.OpenReset(*signed)
	switch {
	case err != nil:
		return err
	case r.Host != next.Host || r.Challenge != challenge:
		return ErrNotWaitedFor
	case r.Serial > next.Target.Serial || r.WithdrawalSerial > p.withdrawals.serial():
		return fmt.Errorf("%w: it wants assignment %s and list %s", ErrTooFar, r.Serial, r.WithdrawalSerial)
	}
	next.Desired.Reset, next.Desired.Withdrawals = signed, p.withdrawals.list()
	if err := p.save(h, next); err != nil {
		return err
	}
	return p.deliver(ctx, h, true)
}

// openReset returns when the reset in d was signed, which may have none. One that our
// keys did not sign for this host is taken out.
func (p *Publisher) openReset(d *proto.Desired, name proto.HostName) time.Time {
	if d.Reset == nil {
		return time.Time{}
	}
	r, err := p.o.Signer.OpenReset(*d.Reset)
	if err != nil || r.Host != name {
		d.Reset = nil
		return time.Time{}
	}
	return r.Issued
}
