package publish

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"kedge/proto"
)

// maxAhead is how far in the future an assignment may be dated before it is
// clear that the clock was wrong then. Hosts whose clocks are right refuse it, and
// take an earlier date under a new serial only.
const maxAhead = time.Minute

// Renew signs every assignment anew that is due, or that a key of ours has not
// signed yet, under its serial and with a later date, adds withdrawals, which all our
// keys sign, too, and makes that durable; [Publisher.Sync] puts it on the bus. So it
// waits for no bus, which may be away for long. Each host has its own point in the
// renewal interval, so that a large fleet is renewed evenly. The error names every
// host that could not be; the others were.
func (p *Publisher) Renew(ctx context.Context) error {
	var problems []error
	if err := p.withdrawals.countersign(p.o.Shelf, p.o.Signer); err != nil {
		problems = append(problems, err)
	}
	for _, name := range p.names() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.renewHost(name); err != nil {
			problems = append(problems, fmt.Errorf("renew assignment of %s: %w", name, err))
		}
	}
	return errors.Join(problems...)
}

func (p *Publisher) renewHost(name proto.HostName) error {
	h := p.host(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	now := p.o.Now().UTC()
	if h.record.Host.IsZero() {
		return nil
	}
	// What the bus may hold is looked at first: it may be what the host accepted.
	behind := h.synced && h.record.Target.Serial < p.accepted(h.record.Target.Serial, name)
	next, err := p.renewed(h.record, behind, now)
	if err != nil {
		return err
	}
	d, was := next.Desired, h.record.Desired
	if next.Issued.Equal(h.record.Issued) && same(&d.Release, &was.Release) && same(&d.Assignment, &was.Assignment) &&
		d.CacheToken == was.CacheToken && same(d.Withdrawals, was.Withdrawals) {
		return nil
	}
	return p.save(h, next)
}

// renewed returns what is to be said at an instant in the place of r, which may be
// r itself. It is behind if its host takes nothing that old.
func (p *Publisher) renewed(r Record, behind bool, now time.Time) (next Record, err error) {
	next = r
	near := p.near.of(r.Host, r.Near)
	next.Desired.Withdrawals = p.withdrawals.list()
	switch {
	case p.o.Signer.Spared(r.Desired.Assignment, now):
		if a, opens := p.o.Signer.OpenAssignment(r.Desired.Assignment); opens == nil && !r.Desired.CacheToken.IsZero() {
			next.Desired.CacheToken = p.spareToken(a)
		}
	case (r.Issued.After(now.Add(maxAhead)) || behind) && !p.withdrawals.has(r.Target.Release):
		return p.again(r, r)
	case due(r.Host, r.Issued, now), p.o.Signer.Stale(r.Desired), p.outlived(r, now),
		(r.Token != p.private || !slices.Equal(r.Near, near)) && r.Issued.Before(now.Truncate(time.Second)):
		next.Issued, next.Token, next.Near = now, p.private, near
		if now.Sub(r.Reset) > proto.AssignmentLifetime { // whoever waited for it has it
			next.Reset, next.Desired.Reset = time.Time{}, nil
		}
		next.Desired.Release = p.o.Signer.Countersign(r.Desired.Release)
		next.Desired.Assignment, err = p.o.Signer.Renew(r.Desired.Assignment, now, slices.Concat(near, p.o.Others), p.o.Caches, p.o.Token(r.Host, now))
	}
	return next, err
}

// outlived reports whether r has a token of the machine that was its host before.
func (p *Publisher) outlived(r Record, now time.Time) bool {
	since := p.o.Since(r.Host)
	return p.private && r.Issued.Before(since) && !now.Before(since)
}

// spareToken returns the token for what a spare key assigned: as if it were signed anew
// up to its end, and not before its host had its key.
func (p *Publisher) spareToken(a proto.Assignment) proto.CacheToken {
	from := a.Expires.Add(-proto.AssignmentLifetime)
	if since := p.o.Since(a.Host); from.Before(since) {
		from = since
	}
	return p.o.Token(a.Host, from)
}

// again signs what r says under a new serial, above that of before. A reset in r stays.
func (p *Publisher) again(r, before Record) (Record, error) {
	release, err := p.o.Signer.OpenRelease(r.Desired.Release)
	if err != nil {
		return Record{}, fmt.Errorf("open our release: %w", err)
	}
	next, err := p.next(release, Order{Release: r.Desired.Release, Mode: r.Mode}, before)
	if err == nil && r.Reset.After(next.Reset) {
		next.Reset, next.Desired.Reset = r.Reset, r.Desired.Reset
	}
	return next, err
}

// due reports whether an assignment of that date is to be renewed by now: once
// the host's own point in the interval has passed since. No assignment gets
// older than one interval, and none of two hosts need be renewed at once.
func due(name proto.HostName, issued, now time.Time) bool {
	return slot(name, now) > slot(name, issued)
}

// slot counts the renewal intervals of a host since the epoch.
func slot(name proto.HostName, t time.Time) int64 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name.String())) // documented never to fail
	offset := time.Duration(hash.Sum32()) * time.Second % proto.AssignmentRenewal
	return (t.Unix() + int64(offset/time.Second)) / int64(proto.AssignmentRenewal/time.Second)
}
