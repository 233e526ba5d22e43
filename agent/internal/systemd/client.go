package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
)

// defaultCallTimeout is generous: systemd answers in a millisecond, but not
// while it reloads, which takes up to some seconds on a large system.
const defaultCallTimeout = 10 * time.Second

// errNoAnswer is the cause when a call took longer than CallTimeout.
var errNoAnswer = errors.New("systemd did not answer in time")

// A Client asks systemd as root. The zero value is ready; it is safe for
// concurrent use.
type Client struct {
	// CallTimeout bounds one exchange with systemd, not the job that it may
	// start; zero means 10 s.
	CallTimeout time.Duration
}

// exchange runs ask with a new connection that is closed afterwards, within
// CallTimeout. The operation names what failed in the error.
func (c *Client) exchange(ctx context.Context, operation string, ask func(context.Context, *dbus.Conn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.callTimeout(), errNoAnswer)
	defer cancel()
	conn, err := dbus.NewSystemdConnectionContext(ctx)
	if err == nil {
		err = ask(ctx, conn)
		conn.Close()
	}
	if err != nil {
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
