package bus

import (
	"context"
	"fmt"

	"kedge/proto"
)

// Renew tells a controller who this host is, and returns credentials that are valid
// for longer if there are any. Errors wrap [ErrNoController] if no controller could be
// asked. They are an [*APIError] with [CodeRefused] if the key does not count any
// more, and with [CodeConflict] if another machine is this host.
func (h *Host) Renew(ctx context.Context, r proto.RenewRequest) (proto.RenewReply, error) {
	data, err := r.Encode()
	if err != nil {
		return proto.RenewReply{}, err
	}
	reply, err := h.ask(ctx, proto.RenewSubject(h.name), data)
	if err != nil {
		return proto.RenewReply{}, fmt.Errorf("renew credentials: %w", err)
	}
	return proto.ParseRenewReply(reply)
}

// A Renewer answers a host that says who it is.
type Renewer func(ctx context.Context, host proto.HostName, r proto.RenewRequest) (proto.RenewReply, error)

// Renewals has every host that says who it is answered, as [Fleet.Leases] does.
func (f *Fleet) Renewals(ctx context.Context, answer Renewer) error {
	return f.answers(ctx, "renewals", proto.AllRenewals, func(ctx context.Context, host proto.HostName, request []byte) ([]byte, error) {
		r, err := proto.ParseRenewRequest(request)
		if err != nil {
			return nil, Errorf(CodeBadRequest, "%v", err)
		}
		reply, err := answer(ctx, host, r)
		if err != nil {
			return nil, err
		}
		return reply.Encode()
	})
}
