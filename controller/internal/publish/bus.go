package publish

import (
	"context"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// busTimeout is how long one call may take. A server whose disk is full may answer
// not at all, and holds up no other host longer than that.
const busTimeout = 10 * time.Second

// A Bus holds the copy of every host's desired state that the hosts read, and
// the audit trail. PutDesired fails with [bus.ErrConflict] unless the state
// there has the sequence number last; zero means that there is none.
type Bus interface {
	PutDesired(ctx context.Context, host proto.HostName, data []byte, last uint64) (uint64, error)
	GetDesired(ctx context.Context, host proto.HostName) (bus.Raw, error)
	// DesiredHosts returns every host that there is a state of.
	DesiredHosts(ctx context.Context) ([]proto.HostName, error)
	Audit(ctx context.Context, e proto.AuditEntry) error
}

var _ Bus = (*bus.Fleet)(nil)

// A boundedBus is a Bus whose calls end in bounded time.
type boundedBus struct{ bus Bus }

// PutDesired implements [Bus].
func (b boundedBus) PutDesired(ctx context.Context, host proto.HostName, data []byte, last uint64) (uint64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, busTimeout, bus.ErrTimeout)
	defer cancel()
	return b.bus.PutDesired(ctx, host, data, last)
}

// GetDesired implements [Bus].
func (b boundedBus) GetDesired(ctx context.Context, host proto.HostName) (bus.Raw, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, busTimeout, bus.ErrTimeout)
	defer cancel()
	return b.bus.GetDesired(ctx, host)
}

// DesiredHosts implements [Bus].
func (b boundedBus) DesiredHosts(ctx context.Context) ([]proto.HostName, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, busTimeout, bus.ErrTimeout)
	defer cancel()
	return b.bus.DesiredHosts(ctx)
}

// Audit implements [Bus].
func (b boundedBus) Audit(ctx context.Context, e proto.AuditEntry) error {
	ctx, cancel := context.WithTimeoutCause(ctx, busTimeout, bus.ErrTimeout)
	defer cancel()
	return b.bus.Audit(ctx, e)
}
