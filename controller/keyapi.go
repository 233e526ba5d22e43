package controller

import (
	"context"
	"errors"
	"log/slog"

	"kedge/controller/internal/publish"
	"kedge/proto"
	"kedge/proto/bus"
)

// A withdrawer remembers what was withdrawn; see [publish.Publisher].
type withdrawer interface {
	Withdrawals() *proto.Envelope
	Withdraw(ctx context.Context, actor string, list proto.Envelope) (proto.Withdrawals, []proto.HostName, error)
}

var _ withdrawer = (*publish.Publisher)(nil)

// keyAPI answers the operators' calls about what was signed, and by whom.
type keyAPI struct {
	publisher withdrawer
	wake      func() // has what changed told to the hosts
	log       *slog.Logger
}

func (k *keyAPI) withdrawals(context.Context, bus.Caller, proto.WithdrawalsRequest) (proto.WithdrawalsReply, error) {
	return proto.WithdrawalsReply{List: k.publisher.Withdrawals()}, nil
}

func (k *keyAPI) withdraw(ctx context.Context, c bus.Caller, req proto.WithdrawRequest) (proto.WithdrawReply, error) {
	list, hosts, err := k.publisher.Withdraw(ctx, c.Name, req.List)
	if err != nil {
		return proto.WithdrawReply{}, refusal(err)
	}
	k.wake()
	k.log.WarnContext(ctx, "releases withdrawn", "serial", list.Serial, "releases", len(list.Releases), "assigned_to", hostNames(hosts), "by", c.Name)
	return proto.WithdrawReply{Serial: list.Serial, Hosts: hosts}, nil
}

// refusal returns err as the refusal of a call, if that is what it is.
func refusal(err error) error {
	for _, why := range []error{
		proto.ErrUnknownKey, proto.ErrBadSignature, proto.ErrMalformed, proto.ErrUnknownFormat,
		publish.ErrOlder, publish.ErrTooFar, publish.ErrForgets, publish.ErrWithdrawn,
	} {
		if errors.Is(err, why) {
			return bus.Errorf(bus.CodeRefused, "%v", err)
		}
	}
	return err
}
