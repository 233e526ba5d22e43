package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"kedge/controller/internal/publish"
	"kedge/controller/internal/sign"
	"kedge/proto"
	"kedge/proto/bus"
)

// A truthKeeper keeps what hosts are told; see [publish.Publisher].
type truthKeeper interface {
	Withdrawals() *proto.Envelope
	Withdraw(ctx context.Context, actor string, list proto.Envelope) (proto.Withdrawals, []proto.HostName, error)
	Reset(ctx context.Context, actor string, host proto.HostName, challenge string, signed *proto.Envelope) (proto.Serial, error)
	Renew(ctx context.Context) error
}

var _ truthKeeper = (*publish.Publisher)(nil)

// keyAPI answers the operators' calls about what was signed, and by whom.
type keyAPI struct {
	publisher truthKeeper
	signer    *sign.Signer
	rollouts  *rollouts
	fleet     *Fleet
	audit     func(ctx context.Context, e proto.AuditEntry)
	wake      func() // has what changed told to the hosts
	now       func() time.Time
	log       *slog.Logger

	rotating sync.Mutex // held while keys are added or retired
}

func (k *keyAPI) register(a *api, s *bus.Service) {
	handle(a, s, proto.EndpointWithdrawals, k.withdrawals)
	handle(a, s, proto.EndpointWithdraw, k.withdraw)
	handle(a, s, proto.EndpointHostReset, k.reset)
	handle(a, s, proto.EndpointKeyStatus, k.status)
	handle(a, s, proto.EndpointKeyAdd, k.add)
	handle(a, s, proto.EndpointKeyRetire, k.retire)
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

// reset lets a host accept again. That it waits for that is in its status.
func (k *keyAPI) reset(ctx context.Context, c bus.Caller, req proto.HostResetRequest) (proto.HostResetReply, error) {
	r, known := k.fleet.Host(req.Host)
	if !known {
		return proto.HostResetReply{}, unknownHost(req.Host)
	}
	if r.Host.Status == nil || r.Host.Status.Challenge == "" {
		return proto.HostResetReply{}, bus.Errorf(bus.CodeRefused, "host %s does not wait for a reset", req.Host)
	}
	serial, err := k.publisher.Reset(ctx, c.Name, req.Host, r.Host.Status.Challenge, req.Reset)
	if err != nil {
		return proto.HostResetReply{}, refusal(err)
	}
	k.log.WarnContext(ctx, "host may accept again", "host", req.Host, "serial", serial, "by", c.Name)
	return proto.HostResetReply{Serial: serial}, nil
}

// refusal returns err as the refusal of a call, if that is what it is.
func refusal(err error) error {
	for _, why := range []error{
		proto.ErrUnknownKey, proto.ErrBadSignature, proto.ErrMalformed, proto.ErrUnknownFormat,
		publish.ErrOlder, publish.ErrUsed, publish.ErrTooFar, publish.ErrForgets, publish.ErrWithdrawn, publish.ErrNothing, publish.ErrNotWaitedFor,
		sign.ErrHoldsNone, sign.ErrLastKey, sign.ErrNoSuchKey, sign.ErrTooManyKeys,
	} {
		if errors.Is(err, why) {
			return bus.Errorf(bus.CodeRefused, "%v", err)
		}
	}
	return err
}
