package bus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"kedge/proto"
)

const (
	// leaseQueue makes one of several controllers get each request.
	leaseQueue = "kedge-controller"

	// leasePatience is how long an answer may take: less than who asked waits.
	leasePatience = requestTimeout - 2*time.Second
)

// A Lessor answers a host's request for a lease. An error that is no [*APIError]
// is logged, and reported with its text as [CodeInternal].
type Lessor func(ctx context.Context, host proto.HostName, r proto.LeaseRequest) (proto.LeaseReply, error)

// Leases has every request for a lease answered until ctx ends; then it returns
// nil, when those under way are over. Requests of different hosts are answered at
// the same time. One host has one under way, and only so many in a while: it cannot
// keep others waiting. The context of answer ends when who asked has given up.
func (f *Fleet) Leases(ctx context.Context, answer Lessor) error {
	t := newTurnstile()
	return f.conn.sessions(ctx, f.log, "leases", func(ctx context.Context, nc *nats.Conn) error {
		sub, err := nc.QueueSubscribeSync(proto.AllLeases, leaseQueue)
		if err != nil {
			return translate(err)
		}
		var calls sync.WaitGroup
		defer calls.Wait()
		defer func() { _ = sub.Unsubscribe() }() // fails only if the connection is closed
		for {
			m, err := sub.NextMsgWithContext(ctx)
			if errors.Is(err, nats.ErrSlowConsumer) {
				continue // some were lost: who asked will ask again
			}
			if err != nil {
				return translate(err)
			}
			host, err := proto.HostOfSubject(m.Subject)
			if err != nil || m.Reply == "" {
				continue // nobody waits for an answer
			}
			if refusal := t.enter(host, time.Now()); refusal != nil {
				f.sendLease(ctx, nc, refusal.answer(m.Reply))
				continue
			}
			calls.Go(func() {
				reply := f.answerLease(ctx, host, m, answer)
				t.leave(host) // the answer is what the next request may follow on
				f.sendLease(ctx, nc, reply)
			})
		}
	})
}

// answerLease returns the answer to m.
func (f *Fleet) answerLease(ctx context.Context, host proto.HostName, m *nats.Msg, answer Lessor) *nats.Msg {
	ctx, cancel := context.WithTimeoutCause(ctx, leasePatience, ErrTimeout)
	defer cancel()
	data, err := lease(ctx, host, m.Data, answer)
	if err == nil {
		reply := nats.NewMsg(m.Reply)
		reply.Data = data
		return reply
	}
	known, ok := errors.AsType[*APIError](err)
	if !ok {
		known = Errorf(CodeInternal, "%v", err)
		f.log.ErrorContext(ctx, "lease request failed", "host", host, "err", err)
	}
	return known.answer(m.Reply)
}

// lease returns the answer to a request, encoded.
func lease(ctx context.Context, host proto.HostName, request []byte, answer Lessor) ([]byte, error) {
	r, err := proto.ParseLeaseRequest(request)
	if err != nil {
		return nil, Errorf(CodeBadRequest, "%v", err)
	}
	reply, err := answer(ctx, host, r)
	if err != nil {
		return nil, err
	}
	return reply.Encode()
}

// sendLease sends an answer. If it is lost, who asked will ask again.
func (f *Fleet) sendLease(ctx context.Context, nc *nats.Conn, answer *nats.Msg) {
	if err := nc.PublishMsg(answer); err != nil {
		f.log.DebugContext(ctx, "lease request not answered", "err", err)
	}
}
