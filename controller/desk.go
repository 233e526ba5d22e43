package controller

import (
	"context"
	"errors"
	"net/http"
	"time"

	"kedge/controller/internal/enroll"
	"kedge/proto"
	"kedge/proto/bus"
)

// Bounds of how long a token may be used.
const minToken, maxToken = time.Minute, 7 * 24 * time.Hour

// token lets whoever has a token, which never came here, enrol a host.
func (i *identities) token(ctx context.Context, c bus.Caller, req proto.HostTokenRequest) (proto.HostTokenReply, error) {
	switch {
	case req.Host.IsZero():
		return proto.HostTokenReply{}, bus.Errorf(bus.CodeBadRequest, "host: must be set")
	case len(req.Hash) != len(proto.Token{}.Hash()):
		return proto.HostTokenReply{}, bus.Errorf(bus.CodeBadRequest, "hash: must be that of a token")
	case req.For < minToken || req.For > maxToken:
		return proto.HostTokenReply{}, bus.Errorf(bus.CodeBadRequest, "for: must be between %s and %s, got %s", minToken, maxToken, req.For)
	case i.foreign():
		return proto.HostTokenReply{}, errForeign(req.Host)
	}
	now := i.now().UTC()
	o := enroll.Offer{Hash: req.Hash, Made: now, By: c.Name, Expires: now.Add(req.For)}
	if err := i.book.Offer(req.Host, o); err != nil {
		return proto.HostTokenReply{}, refused(err)
	}
	i.audit(ctx, proto.AuditEntry{Time: now, Actor: c.Name, Act: proto.ActHostToken, Host: req.Host, Message: "until " + o.Expires.Format(time.RFC3339)})
	i.log.InfoContext(ctx, "enrolment token made", "host", req.Host, "by", c.Name, "expires", o.Expires)
	return proto.HostTokenReply{Expires: o.Expires, URLs: i.urls, Pins: i.anchors().Pins}, nil
}

// Redeem implements [enroll.Desk].
func (i *identities) Redeem(ctx context.Context, t proto.Token, r proto.EnrollRequest, from string) (proto.EnrollReply, error) {
	now := i.now().UTC()
	k := enroll.Key{PublicKey: r.PublicKey, Added: now, From: from, Instance: r.Instance, Expires: now.Add(i.lifetime).Truncate(time.Second)}
	before, _ := i.book.Newest(r.Host)
	if err := i.book.Redeem(t, k); err != nil {
		return proto.EnrollReply{}, i.turnedAway(ctx, r, from, err)
	}
	i.show(r.Host)
	i.wake()
	k, _ = i.book.Newest(r.Host)
	// Another key takes another token, which somebody made, and is always in the audit; for
	// the same key a token is good again and again.
	leftOut, entry := 0, true
	if before.PublicKey == k.PublicKey {
		leftOut, entry = i.redeemed.enter(r.Host, now)
	}
	if entry {
		i.audit(ctx, proto.AuditEntry{
			Time: now, Actor: k.By, Act: proto.ActHostEnroll, Host: r.Host, From: from, Message: afterGap(k.PublicKey+", with a token", leftOut),
		})
	}
	i.log.InfoContext(ctx, "host enrolled", "host", r.Host, "key", k.PublicKey, "from", from, "by", k.By)
	if err := i.tellLater(ctx); err != nil {
		return proto.EnrollReply{}, err
	}
	return i.enrolled(r.Host, k, i.anchors())
}

// Renew implements [enroll.Desk], for hosts whose credentials NATS does not take any
// more.
func (i *identities) Renew(ctx context.Context, r proto.EnrollRequest, from string) (proto.EnrollReply, error) {
	k, err := i.book.Renew(r.Host, r.PublicKey, r.Instance, i.now().UTC(), i.lifetime)
	if err != nil {
		return proto.EnrollReply{}, i.turnedAway(ctx, r, from, err)
	}
	i.show(r.Host)
	i.log.InfoContext(ctx, "credentials renewed", "host", r.Host, "from", from, "expires", k.Expires)
	return i.enrolled(r.Host, k, proto.HostAddReply{})
}

// enrolled returns the answer to a host whose key is k.
func (i *identities) enrolled(host proto.HostName, k enroll.Key, anchors proto.HostAddReply) (proto.EnrollReply, error) {
	reply := proto.EnrollReply{Expires: k.Expires, HostAddReply: anchors}
	var err error
	reply.JWT, err = i.authority.HostJWT(host, k.PublicKey, k.Expires)
	return reply, err
}

// turnedAway returns what a client that nobody knows is told, and notes why.
func (i *identities) turnedAway(ctx context.Context, r proto.EnrollRequest, from string, err error) error {
	i.rival(ctx, r.Host, from, err)
	var status int
	var text string
	switch {
	case errors.Is(err, enroll.ErrToken):
		status, text = http.StatusForbidden, enroll.ErrToken.Error()
	case r.Token != "" && (errors.Is(err, enroll.ErrRevoked) || errors.Is(err, enroll.ErrTaken)):
		status, text = proto.EnrollOtherKey, "the controller does not vouch for this key; make another one"
	case errors.Is(err, enroll.ErrRevoked), errors.Is(err, enroll.ErrUnknownKey), errors.Is(err, enroll.ErrTaken):
		status, text = http.StatusForbidden, "the controller does not vouch for this key; see kedge host token"
	case errors.Is(err, enroll.ErrOther):
		status, text = http.StatusConflict, err.Error()+"; "+enrolAgain
	default:
		return err
	}
	i.log.WarnContext(ctx, "host turned away", "host", r.Host, "key", r.PublicKey, "from", from, "err", err)
	return &enroll.RefusalError{Status: status, Text: text}
}
