package bus

import (
	"context"

	"kedge/proto"
)

// A Lessor answers a host's request for a lease. An error that is no [*APIError]
// is logged, and reported with its text as [CodeInternal].
type Lessor func(ctx context.Context, host proto.HostName, r proto.LeaseRequest) (proto.LeaseReply, error)

// Leases has every request for a lease answered until ctx ends; then it returns
// nil, when those under way are over. Requests of different hosts are answered at
// the same time. One host has one under way, and only so many in a while: it cannot
// keep others waiting. The context of answer ends when who asked has given up.
func (f *Fleet) Leases(ctx context.Context, answer Lessor) error {
	return f.answers(ctx, "leases", proto.AllLeases, func(ctx context.Context, host proto.HostName, request []byte) ([]byte, error) {
		r, err := proto.ParseLeaseRequest(request)
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
