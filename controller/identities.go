package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nkeys"

	"kedge/controller/internal/enroll"
	"kedge/controller/internal/natsd"
	"kedge/proto"
	"kedge/proto/bus"
)

// revokedFor is how long after its last credentials expired a key is still named
// among those that are revoked: longer than any clock is wrong.
const revokedFor = 30 * 24 * time.Hour

// An Authority vouches for who holds a key, and takes that back.
type Authority interface {
	HostJWT(host proto.HostName, publicKey string, expires time.Time) (string, error)
	OperatorJWT(role proto.Role, name, publicKey string, expires time.Time) (string, error)
	// Config returns what a server of somebody else's needs; see [natsd.Keys.Config].
	Config(r natsd.Revoked, selfSigned bool) (string, error)
	// Revoke has NATS refuse those in r, and only those, and disconnect them. The
	// error wraps [natsd.ErrPending] if somebody else has to do that.
	Revoke(ctx context.Context, r natsd.Revoked) error
}

var (
	_ Authority = (*natsd.Server)(nil)
	_ Authority = (*natsd.Remote)(nil)
)

// identities say which hosts, and which operators, may connect. What is in the book holds, and NATS is told.
type identities struct {
	book      *enroll.Book
	operators *enroll.Operators
	authority Authority
	fleet     *Fleet
	anchors   func() proto.HostAddReply // what hosts need today, without a JWT
	access    func() proto.Access       // what operators need today
	lifetime  time.Duration             // of a host's credentials
	urls      []string                  // under which hosts reach the enrolment
	apiURLs   []string                  // under which operators reach the API over HTTP
	audit     func(context.Context, proto.AuditEntry)
	wake      func() // has hosts told what they are to have
	// free takes a reboot lease back from a host that will not ask for anything any more.
	free func(ctx context.Context, host proto.HostName, by string) error
	now  func() time.Time
	log  *slog.Logger

	redeemed diary // of what was done with tokens

	telling sync.Mutex // NATS is told of what is in the book last
}

// know lists every host in the book.
func (i *identities) know() {
	for _, host := range i.book.Hosts() {
		i.show(host)
	}
}

// letIn returns hosts without those that are revoked: what they were is nobody's concern
// any more.
func letIn(hosts []proto.HostView) []proto.HostView {
	return slices.DeleteFunc(slices.Clone(hosts), proto.HostView.Revoked)
}

// show has operators see which key host has.
func (i *identities) show(host proto.HostName) {
	if k, known := i.book.Newest(host); known {
		i.fleet.Enrolled(host, keyView(k))
	}
}

// revoked returns the keys that NATS has to refuse.
func revoked(b *enroll.Book, o *enroll.Operators, now time.Time) natsd.Revoked {
	before := now.Add(-revokedFor)
	return natsd.Revoked{Hosts: b.Revoked(before), Operators: o.Revoked(before)}
}

// tell has NATS refuse what is revoked in the book.
func (i *identities) tell(ctx context.Context) error {
	i.telling.Lock()
	defer i.telling.Unlock()
	return i.authority.Revoke(ctx, revoked(i.book, i.operators, i.now()))
}

// tellLater is tell for what may wait until whoever runs NATS has told it: an old key
// that a new one replaced.
func (i *identities) tellLater(ctx context.Context) error {
	err := i.tell(ctx)
	if errors.Is(err, natsd.ErrPending) {
		i.log.WarnContext(ctx, "NATS does not know yet who is revoked", "err", err)
		return nil
	}
	return err
}

// add vouches for a key. The host may have one already: a machine that was
// installed anew gets another, and the one before does not count any more.
func (i *identities) add(ctx context.Context, c bus.Caller, req proto.HostAddRequest) (proto.HostAddReply, error) {
	if req.Host.IsZero() {
		return proto.HostAddReply{}, bus.Errorf(bus.CodeBadRequest, "host: must be set")
	}
	if !nkeys.IsValidPublicUserKey(req.PublicKey) {
		return proto.HostAddReply{}, bus.Errorf(bus.CodeBadRequest, "public_key: must be the public key of a NATS user, such as U…")
	}
	now := i.now().UTC()
	k := enroll.Key{PublicKey: req.PublicKey, Added: now, By: c.Name, Expires: now.Add(i.lifetime).Truncate(time.Second)}
	jwt, err := i.authority.HostJWT(req.Host, k.PublicKey, k.Expires)
	if err != nil {
		return proto.HostAddReply{}, err
	}
	before, _ := i.book.Newest(req.Host)
	if err := i.book.Enrol(req.Host, k); err != nil {
		return proto.HostAddReply{}, refused(err)
	}
	i.show(req.Host)
	i.wake()
	message := req.PublicKey
	if replaced := before.PublicKey != "" && before.PublicKey != req.PublicKey && !before.IsRevoked(); replaced {
		message += ", in the place of " + before.PublicKey
	}
	i.audit(ctx, proto.AuditEntry{Time: now, Actor: c.Name, Act: proto.ActHostAdd, Host: req.Host, Message: message})
	i.log.InfoContext(ctx, "host added", "host", req.Host, "key", req.PublicKey, "by", c.Name)
	if err := i.tellLater(ctx); err != nil {
		return proto.HostAddReply{}, err
	}
	reply := i.anchors()
	reply.JWT = jwt
	return reply, nil
}

// revoke lets a host in no more. It is in the book when NATS is told, and so kept
// out after any restart. A reboot lease that it has is free for others then, whether or not
// NATS could be told. When it is repeated, what did not go well before is done.
func (i *identities) revoke(ctx context.Context, c bus.Caller, req proto.HostRevokeRequest) (proto.HostRevokeReply, error) {
	if req.Host.IsZero() {
		return proto.HostRevokeReply{}, bus.Errorf(bus.CodeBadRequest, "host: must be set")
	}
	now := i.now().UTC()
	counted, err := i.book.Revoke(req.Host, now, c.Name)
	if err != nil {
		return proto.HostRevokeReply{}, refused(err)
	}
	i.show(req.Host)
	k, _ := i.book.Newest(req.Host)
	if counted {
		i.audit(ctx, proto.AuditEntry{Time: now, Actor: c.Name, Act: proto.ActHostRevoke, Host: req.Host, Message: k.PublicKey})
		i.log.WarnContext(ctx, "host revoked", "host", req.Host, "key", k.PublicKey, "by", c.Name)
	}
	told, freed := i.tell(ctx), i.free(ctx, req.Host, c.Name) // the one is no reason to leave the other
	if told != nil {
		told = fmt.Errorf("host %s is revoked, and NATS does not know yet: %w", req.Host, told)
	}
	if freed != nil {
		freed = fmt.Errorf("host %s is revoked, and may have a reboot lease still, see kedge lease list: %w", req.Host, freed)
	}
	if err := errors.Join(told, freed); err != nil {
		return proto.HostRevokeReply{}, inFull(err)
	}
	return proto.HostRevokeReply{Key: keyView(k)}, nil
}

// inFull returns err such that callers are told all of it, and not only of the refusal that
// it wraps, if it does.
func inFull(err error) error {
	if said, ok := errors.AsType[*bus.APIError](err); ok {
		return bus.Errorf(said.Code, "%v", err)
	}
	return err
}

// foreign reports whether who may connect is decided elsewhere.
func (i *identities) foreign() bool { return i.authority == Authority(foreignNATS{}) }

// natsConfig answers the operators' call of that name.
func (i *identities) natsConfig(_ context.Context, _ bus.Caller, req proto.ExternalConfigRequest) (proto.ExternalConfigReply, error) {
	text, err := i.authority.Config(revoked(i.book, i.operators, i.now()), req.SelfSigned)
	return proto.ExternalConfigReply{Text: text}, err
}

// keyView returns k as operators see it.
func keyView(k enroll.Key) proto.HostKey {
	return proto.HostKey{
		PublicKey: k.PublicKey, Enrolled: k.Added, By: k.By, From: k.From, Expires: k.Expires, Revoked: k.Revoked, RevokedBy: k.RevokedBy,
	}
}

// refused returns what the books have against something as callers are told.
func refused(err error) error {
	switch {
	case errors.Is(err, enroll.ErrUnknownHost):
		return bus.Errorf(bus.CodeNotFound, "%v; see kedge host list", err)
	case errors.Is(err, enroll.ErrOther):
		return bus.Errorf(bus.CodeConflict, "%v; %s", err, enrolAgain)
	case errors.Is(err, enroll.ErrRevoked), errors.Is(err, enroll.ErrUnknownKey), errors.Is(err, enroll.ErrTaken),
		errors.Is(err, enroll.ErrOtherRole), errors.Is(err, enroll.ErrExpired), errors.Is(err, enroll.ErrTokenUsed):
		return bus.Errorf(bus.CodeRefused, "%v", err)
	}
	return err
}
