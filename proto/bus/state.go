package bus

import (
	"context"
	"fmt"
	"time"
)

// A State is how a connection stands.
type State struct {
	Connected bool
	Since     time.Time // connected, or not, since then
	Err       error     // why not; nil while connected
	Server    string    // the URL connected to, or last connected to
	Connects  uint64    // how often a connection was made
}

// State returns how c stands.
func (c *Conn) State() State {
	s, _ := c.Watch()
	return s
}

// Watch returns how c stands, and a channel that is closed when that changes.
func (c *Conn) Watch() (State, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.changed
}

// AwaitConnected returns nil as soon as c is connected. If ctx ends before, the
// error says why c could not connect; if c is closed, it wraps [ErrClosed].
func (c *Conn) AwaitConnected(ctx context.Context) error {
	for {
		s, changed := c.Watch()
		if s.Connected {
			return nil
		}
		select {
		case <-changed:
		case <-c.done:
			return ErrClosed
		case <-ctx.Done():
			if s.Err != nil {
				return fmt.Errorf("%w: %w (%w)", ErrNotConnected, s.Err, ctx.Err())
			}
			return fmt.Errorf("%w: %w", ErrNotConnected, ctx.Err())
		}
	}
}

// update changes the state with f, and wakes those who watch it.
func (c *Conn) update(f func(*State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.state)
	close(c.changed)
	c.changed = make(chan struct{})
}
