package controller

import (
	"context"

	"kedge/proto"
)

// renew implements [bus.Renewer]. It makes no credentials for who has good ones, so
// that a fleet that connects anew costs nothing.
func (i *identities) renew(ctx context.Context, host proto.HostName, r proto.RenewRequest) (proto.RenewReply, error) {
	before, _ := i.book.Newest(host)
	k, err := i.book.Renew(host, r.PublicKey, r.Instance, i.now().UTC(), i.lifetime)
	if err != nil {
		i.rival(ctx, host, "", err)
		return proto.RenewReply{}, refused(err)
	}
	if r.Expires.IsZero() || !k.Expires.IsZero() && !r.Expires.Before(k.Expires) {
		return proto.RenewReply{}, nil
	}
	jwt, err := i.authority.HostJWT(host, k.PublicKey, k.Expires)
	if err != nil {
		return proto.RenewReply{}, err
	}
	if k.Expires != before.Expires {
		i.show(host)
		i.log.InfoContext(ctx, "credentials renewed", "host", host, "expires", k.Expires)
	}
	return proto.RenewReply{JWT: jwt, Expires: k.Expires}, nil
}
