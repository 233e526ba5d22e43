package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"kedge/proto"
)

// Errors about withdrawals.
var (
	ErrWithdrawn = errors.New("release was withdrawn")
	ErrForgets   = errors.New("list of withdrawals lacks what is withdrawn already")
)

// withdrawals are the newest list of withdrawals. The zero value is none. Safe for
// concurrent use.
type withdrawals struct {
	mu     sync.Mutex // guards what follows
	signed *proto.Envelope
	what   proto.Withdrawals
}

// load reads the list. It was verified when it was taken.
func (w *withdrawals) load(s Shelf) error {
	signed, err := s.Withdrawals()
	if err != nil || signed == nil {
		return err
	}
	what, err := proto.ReadWithdrawals(*signed)
	if err != nil {
		return fmt.Errorf("load what was withdrawn: %w", err)
	}
	w.signed, w.what = signed, what
	return nil
}

// list returns the list as it was signed, nil if there is none.
func (w *withdrawals) list() *proto.Envelope {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.signed
}

func (w *withdrawals) has(release proto.Digest) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.what.Has(release)
}

// serial returns the list's; zero if there is none.
func (w *withdrawals) serial() proto.Serial {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.what.Serial
}

// take makes a list that was verified durable, and the one that counts. It reports
// whether it was not already: then nothing is left to do.
func (w *withdrawals) take(s Shelf, signed proto.Envelope, what proto.Withdrawals) (taken bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lacks := slices.DeleteFunc(slices.Clone(w.what.Releases), what.Has)
	switch {
	case w.signed != nil && bytes.Equal(signed.Payload, w.signed.Payload):
		return false, nil
	case what.Serial == w.what.Serial:
		return false, fmt.Errorf("list of withdrawals %s: another one with this %w", what.Serial, ErrUsed)
	case what.Serial < w.what.Serial:
		return false, fmt.Errorf("list of withdrawals %s is %w, which was %s", what.Serial, ErrOlder, w.what.Serial)
	case what.Serial-w.what.Serial > proto.MaxSerialJump:
		return false, fmt.Errorf("list of withdrawals %s: %w: it comes after %s", what.Serial, ErrTooFar, w.what.Serial)
	case len(lacks) > 0:
		return false, fmt.Errorf("%w: %d releases, such as %s; sign it with --list", ErrForgets, len(lacks), lacks[0])
	}
	if err := s.SaveWithdrawals(signed); err != nil {
		return false, fmt.Errorf("save what was withdrawn: %w", err)
	}
	w.signed, w.what = &signed, what
	return true, nil
}

// countersign adds, durably, the signatures of keys of ours that have not signed the
// list yet: hosts refuse all that they are told with one that no key of theirs signed.
func (w *withdrawals) countersign(s Shelf, by Signer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.signed == nil {
		return nil
	}
	signed := by.CountersignWithdrawals(*w.signed)
	if same(&signed, w.signed) {
		return nil
	}
	if err := s.SaveWithdrawals(signed); err != nil {
		return fmt.Errorf("sign what was withdrawn with all keys: %w", err)
	}
	w.signed = &signed
	return nil
}

// Withdrawals returns the newest list of withdrawals, as it was signed; nil if
// nothing was withdrawn.
func (p *Publisher) Withdrawals() *proto.Envelope { return p.withdrawals.list() }

// Withdraw takes a list of withdrawals, which has all that the one before it has, or is
// that one.
// When it returns nil that is durable, nothing on the list is assigned any more,
// and [Publisher.Renew] adds it to what every host is told. It returns the hosts
// that were assigned something on the list.
func (p *Publisher) Withdraw(ctx context.Context, actor string, list proto.Envelope) (proto.Withdrawals, []proto.HostName, error) {
	what, err := p.o.Signer.OpenWithdrawals(list)
	if err != nil {
		return what, nil, err
	}
	taken, err := p.withdrawals.take(p.o.Shelf, list, what)
	if err != nil {
		return what, nil, err
	}
	var hosts []proto.HostName
	for _, name := range p.names() {
		h := p.host(name)
		h.mu.Lock()
		if what.Has(h.record.Target.Release) {
			hosts = append(hosts, name)
		}
		h.mu.Unlock()
	}
	if !taken { // the audit has who took it
		return what, hosts, nil
	}
	err = p.o.Bus.Audit(ctx, proto.AuditEntry{
		Format: proto.Format1, Time: p.o.Now().UTC(), Actor: actor, Act: proto.ActWithdraw, Serial: what.Serial,
		Message: fmt.Sprintf("%d releases are withdrawn", len(what.Releases)),
	})
	if err != nil { // the list itself is durable, and says the same
		p.o.Log.WarnContext(ctx, "audit entry lost", "act", proto.ActWithdraw, "serial", what.Serial, "err", err)
	}
	return what, hosts, nil
}

// learn takes a list that is on the bus, and newer than ours, which may have been
// restored from a backup. A list of others is none of ours.
func (p *Publisher) learn(list *proto.Envelope) {
	if list == nil {
		return
	}
	what, err := p.o.Signer.OpenWithdrawals(*list)
	if err != nil || what.Serial <= p.withdrawals.serial() {
		return
	}
	if _, err := p.withdrawals.take(p.o.Shelf, *list, what); err != nil {
		p.o.Log.Warn("withdrawals on the bus are newer than ours and cannot be taken", "serial", what.Serial, "err", err)
		return
	}
	p.o.Log.Warn("withdrawals on the bus are newer than ours; adopted", "serial", what.Serial)
}

// same reports whether two statements, which may be nil, are the same bytes, signed by
// as many keys.
func same(a, b *proto.Envelope) bool {
	if a == nil || b == nil {
		return a == b
	}
	return string(a.Payload) == string(b.Payload) && len(a.Signatures) == len(b.Signatures)
}
