package logind

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// systemBus is where it is, whatever the environment says.
const systemBus = "unix:path=/run/dbus/system_bus_socket"

// defaultTimeout bounds one look: logind answers in milliseconds, or not at all.
const defaultTimeout = 5 * time.Second

// errNoAnswer is the cause when a look took longer than its timeout.
var errNoAnswer = errors.New("logind did not answer in time")

// A Client asks logind. The zero value is ready; it is safe for concurrent use.
// Each question is a connection of its own: the bus may be what a deployment
// broke, or replaced.
type Client struct {
	Address string        // of the message bus; empty means the system's
	Timeout time.Duration // of one question; zero means 5 s
}

// A Lock keeps the host from being shut down.
type Lock struct {
	Who string
	Why string
	UID uint32
	PID uint32
}

// Locks returns the locks that somebody holds against a shutdown, and none if
// logind does not run: then there can be none. Locks that only delay it do not
// count, nor those that bind unprivileged users only.
func (c Client) Locks(ctx context.Context) ([]Lock, error) {
	var locks []Lock
	err := c.ask(ctx, func(ctx context.Context, b bus) error {
		var all []struct {
			What, Who, Why, Mode string
			UID, PID             uint32
		}
		if err := b.call(ctx, managerPath, managerInterface+".ListInhibitors").Store(&all); err != nil {
			return fmt.Errorf("list inhibitors: %w", err)
		}
		for _, i := range all {
			if i.Mode == "block" && slices.Contains(strings.Split(i.What, ":"), "shutdown") {
				locks = append(locks, Lock{Who: i.Who, Why: i.Why, UID: i.UID, PID: i.PID})
			}
		}
		return nil
	})
	return locks, err
}

// Users returns the names of those who are logged in, sorted, each once, and
// none if logind does not run. Who only has left something running does not
// count, nor do login screens.
func (c Client) Users(ctx context.Context) ([]string, error) {
	var users []string
	err := c.ask(ctx, func(ctx context.Context, b bus) error {
		var sessions []struct {
			ID   string
			UID  uint32
			User string
			Seat string
			Path dbus.ObjectPath
		}
		if err := b.call(ctx, managerPath, managerInterface+".ListSessions").Store(&sessions); err != nil {
			return fmt.Errorf("list sessions: %w", err)
		}
		for _, s := range sessions {
			here, err := b.here(ctx, s.Path)
			if err != nil {
				return fmt.Errorf("session %s: %w", s.ID, err)
			}
			if here {
				users = append(users, s.User)
			}
		}
		return nil
	})
	slices.Sort(users)
	return slices.Compact(users), err
}

// ask asks until the answer, the timeout, or the end of ctx. That logind does
// not run is no error.
func (c Client) ask(ctx context.Context, question func(context.Context, bus) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(c.Timeout, defaultTimeout), errNoAnswer)
	defer cancel()
	conn, err := dbus.Connect(cmp.Or(c.Address, systemBus),
		dbus.WithContext(ctx), dbus.WithAuth(dbus.AuthExternal(strconv.Itoa(os.Getuid()))))
	if err != nil {
		return because(ctx, fmt.Errorf("connect to the message bus: %w", err))
	}
	err = question(ctx, bus{conn})
	_ = conn.Close() // after the answer
	if absent(err) {
		return nil
	}
	return because(ctx, err)
}

// because puts why ctx ended in the place of what came of that.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("ask logind: %w", context.Cause(ctx))
	}
	return err
}
