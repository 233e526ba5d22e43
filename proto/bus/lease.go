package bus

import (
	"context"
	"fmt"

	"kedge/proto"
)

// AcquireLease asks for leave to reboot for a deployment, whose ID is there to be
// shown. A host that has a lease is granted it again. That it is not granted is no
// error: the reply says why, and it may be asked for again later. Errors wrap
// [ErrNoController] if no controller could be asked, and are an [*APIError] if one
// could not decide. After any error the host may have a lease or not: ask again, or
// release it.
func (h *Host) AcquireLease(ctx context.Context, deployment string) (proto.LeaseReply, error) {
	r, err := h.lease(ctx, proto.LeaseRequest{Action: proto.LeaseAcquire, Deployment: deployment})
	if err != nil {
		return proto.LeaseReply{}, fmt.Errorf("acquire a reboot lease: %w", err)
	}
	return r, nil
}

// ReleaseLease returns when the host has no lease, whatever it had it for. Errors
// are those of [Host.AcquireLease].
func (h *Host) ReleaseLease(ctx context.Context, deployment string) error {
	if _, err := h.lease(ctx, proto.LeaseRequest{Action: proto.LeaseRelease, Deployment: deployment}); err != nil {
		return fmt.Errorf("release the reboot lease: %w", err)
	}
	return nil
}

func (h *Host) lease(ctx context.Context, r proto.LeaseRequest) (proto.LeaseReply, error) {
	data, err := r.Encode()
	if err != nil {
		return proto.LeaseReply{}, err
	}
	reply, err := h.ask(ctx, proto.LeaseSubject(h.name), data)
	if err != nil {
		return proto.LeaseReply{}, err
	}
	return proto.ParseLeaseReply(reply)
}
