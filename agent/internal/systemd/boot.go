package systemd

import (
	"context"
	"errors"
	"fmt"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

const (
	rebootTarget = "reboot.target"
	// rebootMode is what systemctl uses: nothing that is started later cancels it.
	rebootMode = "replace-irreversibly"
)

// StartReboot begins the shutdown that ends in another boot, and returns. systemd
// stops every unit in its order; nothing that is started meanwhile cancels that. The error
// wraps [ErrUnanswered] if systemd said nothing to that.
func (c *Client) StartReboot(ctx context.Context) error {
	return unanswered(ctx, c.exchange(ctx, "start "+rebootTarget, func(ctx context.Context, conn *dbus.Conn) error {
		_, err := conn.StartUnitContext(ctx, rebootTarget, rebootMode, nil)
		return err
	}))
}

// ErrUnanswered says that systemd did not answer in time, or could not be reached; not
// that it refused.
var ErrUnanswered = errors.New("systemd says nothing")

// unanswered returns err, with [ErrUnanswered] if it is no answer of systemd's, nor of
// ctx's end.
func unanswered(ctx context.Context, err error) error {
	if _, answered := errors.AsType[godbus.Error](err); err == nil || answered || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnanswered, err)
}

// The states of a manager that has not started everything yet.
const (
	initializing = "initializing"
	starting     = "starting"
)

// AwaitBoot returns when systemd has started everything of this boot, or could
// not: there is no bound but ctx. What was started, and failed, is for others to
// judge.
func (c *Client) AwaitBoot(ctx context.Context) error {
	err := poll(ctx, func() (bool, error) {
		var state string
		err := c.exchange(ctx, "read the state of the boot", func(ctx context.Context, conn *dbus.Conn) (err error) {
			state, err = systemState(ctx, conn)
			return err
		})
		// An error may only mean that systemd is not back yet.
		return err == nil && state != initializing && state != starting, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the end of the boot: %w", err)
	}
	return nil
}
