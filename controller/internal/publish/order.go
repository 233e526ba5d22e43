package publish

import (
	"errors"
	"fmt"

	"kedge/proto"
)

// ErrOlder is wrapped when a release, a list or an assignment is older than one that was
// published before, ErrUsed when it is another one under the same serial, and ErrTooFar
// when its serial is too far ahead of that one's.
var (
	ErrOlder  = errors.New("older than what was published before")
	ErrTooFar = errors.New("serial is too far ahead")
	ErrUsed   = errors.New("serial was published before")
)

// takes reports why r, which is in o, cannot follow what b says, or nil. The
// same release may be published again, with further signatures, say.
func (p *Publisher) takes(r proto.Release, o Order, b Record) error {
	digest := proto.DigestOf(o.Release.Payload)
	same := b.Target.Release == digest
	switch {
	case p.withdrawals.has(digest):
		return fmt.Errorf("%w: %s", ErrWithdrawn, digest)
	case !o.Newer || same:
		return nil
	case r.Serial == b.Release: // it may be one that was gone back from
		return fmt.Errorf("release %s: one with this %w: sign it anew under a new serial, or publish it with --downgrade", r.Serial, ErrUsed)
	case r.Serial < b.Release:
		return fmt.Errorf("release %s is %w, which was %s: sign it anew under a new serial, or publish it with --downgrade", r.Serial, ErrOlder, b.Release)
	case r.Serial-b.Release > proto.MaxSerialJump:
		return fmt.Errorf("%w: release %s comes after %s, and the next ones would have to be higher still", ErrTooFar, r.Serial, b.Release)
	}
	return nil
}

// spared returns the record that follows before, with r assigned by o's
// assignment, which a spare key signed: before itself, if that says so already.
func (p *Publisher) spared(r proto.Release, o Order, before Record) (Record, error) {
	a, err := p.o.Signer.OpenAssignment(*o.Assignment)
	if err != nil {
		return Record{}, fmt.Errorf("open the assignment: %w", err)
	}
	now := p.o.Now().UTC()
	switch {
	case a.Host != r.Host || a.Release != proto.DigestOf(o.Release.Payload):
		return Record{}, fmt.Errorf("%w: assignment %s of %s is not of this release", proto.ErrMalformed, a.Serial, a.Host)
	case !now.Before(a.Expires):
		return Record{}, fmt.Errorf("assignment %s of %s has expired", a.Serial, a.Host)
	case before.has(*o.Assignment):
		return before, nil
	case a.Serial == before.Target.Serial:
		return Record{}, fmt.Errorf("assignment %s: another one with this %w", a.Serial, ErrUsed)
	case a.Serial < before.Target.Serial:
		return Record{}, fmt.Errorf("assignment %s is %w, which was %s", a.Serial, ErrOlder, before.Target.Serial)
	case a.Serial-before.Target.Serial > proto.MaxSerialJump:
		return Record{}, fmt.Errorf("%w: assignment %s comes after %s", ErrTooFar, a.Serial, before.Target.Serial)
	}
	next := p.assign(Record{
		Host:    r.Host,
		Target:  target(r, o.Release, a.Serial, now),
		Issued:  a.Issued,
		Mode:    a.Mode,
		Near:    before.Near,
		Release: max(r.Serial, before.Release),
	}, before, o.Release, *o.Assignment)
	if a.CacheToken.IsZero() {
		next.Desired.CacheToken = p.spareToken(a)
	}
	return next, nil
}

// Takes reports why o, whose release is r, cannot be published, or nil. What the
// bus holds that is not known here is not looked at.
func (p *Publisher) Takes(r proto.Release, o Order) error {
	h := p.host(r.Host)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := p.takes(r, o, h.record); err != nil || o.Assignment == nil {
		return err
	}
	_, err := p.spared(r, o, h.record)
	return err
}
