package agent

import (
	"context"

	"kedge/proto"
	"kedge/proto/bus"
)

// Leases limit how many hosts reboot together. *bus.Host has them.
type Leases interface {
	// AcquireLease asks for leave to reboot for a deployment. That it is not granted
	// is no error: the reply says why, and asking again later is right. An error wraps
	// [bus.ErrNoController] if no controller could be asked. A lease once granted is
	// the host's until it releases it, whatever becomes of the host; after an error it
	// may have one or not.
	AcquireLease(ctx context.Context, deployment string) (proto.LeaseReply, error)
	// ReleaseLease returns when the host has no lease. It is right to call it whenever
	// the host is not about to reboot: once at every start, if nothing is under way.
	ReleaseLease(ctx context.Context, deployment string) error
}

var _ Leases = (*bus.Host)(nil)
