package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"kedge/proto"
)

const (
	// answerQueue makes one of several controllers get each request.
	answerQueue = "kedge-controller"

	// answerPatience is how long an answer may take: less than who asked waits.
	answerPatience = requestTimeout - 2*time.Second
)

// answerer returns the answer to a host's request, encoded. An error that is no
// [*APIError] is logged, and reported with its text as [CodeInternal].
type answerer func(ctx context.Context, host proto.HostName, request []byte) ([]byte, error)

// answers has every request of a host on the subjects of pattern answered until ctx
// ends; then it returns nil, when those under way are over. Requests of different
// hosts are answered at the same time. One host has one under way, and only so many
// in a while: it cannot keep others waiting. The context of answer ends when who asked
// has given up.
func (f *Fleet) answers(ctx context.Context, what, pattern string, answer answerer) error {
	t := newTurnstile()
	return f.conn.sessions(ctx, f.log, what, func(ctx context.Context, nc *nats.Conn) error {
		sub, err := nc.QueueSubscribeSync(pattern, f.Queue)
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
				f.send(ctx, nc, refusal.answer(m.Reply))
				continue
			}
			calls.Go(func() {
				reply := f.answer(ctx, what, host, m, answer)
				t.leave(host) // the answer is what the next request may follow on
				f.send(ctx, nc, reply)
			})
		}
	})
}

// answer returns the answer to m.
func (f *Fleet) answer(ctx context.Context, what string, host proto.HostName, m *nats.Msg, answer answerer) *nats.Msg {
	ctx, cancel := context.WithTimeoutCause(ctx, answerPatience, ErrTimeout)
	defer cancel()
	data, err := answer(ctx, host, m.Data)
	if err == nil {
		reply := nats.NewMsg(m.Reply)
		reply.Data = data
		return reply
	}
	known, ok := errors.AsType[*APIError](err)
	if !ok {
		known = Errorf(CodeInternal, "%v", err)
		f.log.ErrorContext(ctx, "request of a host failed", "what", what, "host", host, "err", err)
	}
	return known.answer(m.Reply)
}

// send sends an answer. If it is lost, who asked will ask again.
func (f *Fleet) send(ctx context.Context, nc *nats.Conn, answer *nats.Msg) {
	if err := nc.PublishMsg(answer); err != nil {
		f.log.DebugContext(ctx, "request of a host not answered", "err", err)
	}
}

// ask has a request of the host answered by a controller. Errors wrap
// [ErrNoController] if none could be asked, and are an [*APIError] if one could not
// decide, or refused.
func (h *Host) ask(ctx context.Context, subject string, request []byte) ([]byte, error) {
	m := nats.NewMsg(subject)
	m.Data = request
	reply, err := h.conn.request(ctx, m, requestTimeout)
	if Transient(err) {
		return nil, fmt.Errorf("%w: %w", ErrNoController, err)
	}
	if err != nil {
		return nil, err
	}
	if err := reported(reply); err != nil {
		return nil, err
	}
	return reply.Data, nil
}
