package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// defaultCallTimeout is generous: systemd answers in a millisecond, but not
// while it reloads, which takes up to some seconds on a large system.
const defaultCallTimeout = 10 * time.Second

// errNoAnswer is the cause when a call took longer than CallTimeout.
var errNoAnswer = errors.New("systemd did not answer in time")

// A Client asks systemd as root. The zero value is ready; it is safe for
// concurrent use.
//
// It keeps its connection from one call to the next, until [Client.Rest].
type Client struct {
	// CallTimeout bounds one exchange with systemd, not the job that it may
	// start; zero means 10 s.
	CallTimeout time.Duration

	mu   sync.Mutex
	kept *link // guarded by mu; nil until the next call
}

// Rest lets go of the connection until the next call. systemd tells every
// connection of all that it does, which is much while a system is switched: rest
// when there is nothing to ask for a while. Calls under way end with an error.
func (c *Client) Rest() {
	c.mu.Lock()
	l := c.kept
	c.kept = nil
	c.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// link returns the connection, and whether it is of an earlier call.
func (c *Client) link(ctx context.Context) (l *link, kept bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept != nil && c.kept.Connected() {
		return c.kept, true, nil
	}
	if l, err = dial(ctx); err != nil {
		return nil, false, err
	}
	if c.kept != nil {
		c.kept.close()
	}
	c.kept = l
	return l, false, nil
}

// drop closes a connection that did not serve.
func (c *Client) drop(l *link) {
	c.mu.Lock()
	if c.kept == l {
		c.kept = nil
	}
	c.mu.Unlock()
	l.close()
}

// on runs ask with the connection. What fails on one that was kept is tried once
// more on a new one, unless it was systemd that said no: after `systemctl
// daemon-reexec` an old connection answers nothing any more.
func (c *Client) on(ctx context.Context, ask func(*link) error) error {
	for {
		l, kept, err := c.link(ctx)
		if err != nil {
			return err
		}
		err = ask(l)
		if _, answered := errors.AsType[godbus.Error](err); err == nil || answered {
			return err
		}
		if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errNoAnswer) {
			return err // the caller gave up; others may go on with it
		}
		c.drop(l)
		if !kept || ctx.Err() != nil {
			return err
		}
	}
}

// exchange asks within CallTimeout. The operation names what failed in the
// error.
func (c *Client) exchange(ctx context.Context, operation string, ask func(context.Context, *dbus.Conn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.callTimeout(), errNoAnswer)
	defer cancel()
	if err := c.on(ctx, func(l *link) error { return ask(ctx, l.Conn) }); err != nil {
		return fmt.Errorf("%s: %w", operation, causeOr(ctx, err))
	}
	return nil
}

func (c *Client) callTimeout() time.Duration {
	return cmp.Or(c.CallTimeout, defaultCallTimeout)
}

// causeOr returns why ctx ended, or err if it did not. A connection whose
// context ends says no more than that it is closed.
func causeOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
