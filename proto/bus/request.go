package bus

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// requestTimeout limits requests that the server itself answers.
const requestTimeout = 10 * time.Second

// A flight is a request that waits for its answer.
type flight struct {
	subject string
	cancel  context.CancelCauseFunc
}

// request sends m and returns the answer. It does not outlast the connection,
// ctx, or timeout, and ends at once if the server denies it. No answer in time is
// [ErrTimeout], whosever time it was.
func (c *Conn) request(ctx context.Context, m *nats.Msg, timeout time.Duration) (*nats.Msg, error) {
	nc, err := c.connected()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &flight{subject: m.Subject, cancel: cancel}
	c.take(f)
	defer c.land(f)
	reply, err := nc.RequestMsgWithContext(ctx, m)
	if err == nil {
		return reply, nil
	}
	if ctx.Err() != nil {
		return nil, translate(context.Cause(ctx))
	}
	return nil, translate(err)
}

// publish sends m, which nobody answers.
func (c *Conn) publish(m *nats.Msg) error {
	nc, err := c.connected()
	if err != nil {
		return err
	}
	return translate(nc.PublishMsg(m))
}

// take adds f to the requests under way.
func (c *Conn) take(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flights[f] = struct{}{}
}

// land removes f from the requests under way.
func (c *Conn) land(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, f)
}

// abandon ends every request under way.
func (c *Conn) abandon(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.flights {
		f.cancel(cause)
	}
}

// deny ends the requests that violation, an error of the server, is about: it
// names the subject in quotes.
func (c *Conn) deny(violation error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.flights {
		if strings.Contains(violation.Error(), `"`+f.subject+`"`) {
			f.cancel(fmt.Errorf("%w: %s", ErrDenied, f.subject))
		}
	}
}
