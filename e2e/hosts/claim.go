package hosts

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// ErrInUse says that a living process has a fleet of that name.
var ErrInUse = errors.New("the fleet belongs to a process that is still running")

// A claim on a fleet's name, held as the name of an abstract socket: it ends with the process, however that ends, and
// leaves nothing on the disk.
type claim struct {
	mu   sync.Mutex // guards conn
	conn *net.UnixConn
}

// claimFleet claims the name. It fails with [ErrInUse] if another claim holds it.
func claimFleet(fleet string) (*claim, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@" + markOf(fleet), Net: "unixgram"})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("claim fleet %s: %w", fleet, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("claim fleet %s: %w", fleet, err)
	}
	return &claim{conn: conn}, nil
}

// release gives the name up. It may be called again.
func (c *claim) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}
