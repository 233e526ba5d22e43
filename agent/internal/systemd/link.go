package systemd

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// privateSocket is systemd's own, without a message bus behind it.
const privateSocket = "unix:path=/run/systemd/private"

// A link is one connection to systemd. Its end is that of every call on it.
type link struct {
	*dbus.Conn
	end context.CancelFunc
}

// dial connects, unless ctx ends before. Its end afterwards does nothing.
func dial(ctx context.Context) (*link, error) {
	lifetime, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	defer stop()
	conn, err := dbus.NewConnection(dialOnce(lifetime))
	if err != nil {
		end()
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return &link{Conn: conn, end: end}, nil
}

// dialOnce returns the same connection however often it is called. go-systemd
// would have a second one for signals, and PID 1 spends 2 ms of processor time
// on each; for one who only waits for jobs to end one is enough.
func dialOnce(ctx context.Context) func() (*godbus.Conn, error) {
	var conn *godbus.Conn
	return func() (*godbus.Conn, error) {
		if conn != nil {
			return conn, nil
		}
		c, err := godbus.Dial(privateSocket, godbus.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		if err := c.Auth([]godbus.Auth{godbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
			_ = c.Close() // of no use anyway
			return nil, err
		}
		conn = c
		return conn, nil
	}
}

// close ends the connection and every call on it.
func (l *link) close() {
	l.Close()
	l.end()
}
