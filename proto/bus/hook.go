package bus

import "github.com/nats-io/nats.go"

// A hook is called back by a Conn.
type hook struct {
	attach    func(*nats.Conn) // for every new nats.Conn
	connected func()           // after every connection, when attached
}

// attach attaches to nc the hooks that are not.
func (c *Conn) attach(nc *nats.Conn) {
	c.mu.Lock()
	var fresh []*hook
	for h, to := range c.hooks {
		if to != nc {
			c.hooks[h] = nc
			fresh = append(fresh, h)
		}
	}
	c.mu.Unlock()
	for _, h := range fresh {
		h.attach(nc)
		if c.State().Connected {
			h.connected()
		}
	}
}

// hook adds h.
func (c *Conn) hook(h *hook) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hooks[h] = nil
	select {
	case c.hooked <- struct{}{}:
	default:
	}
}

// unhook removes h.
func (c *Conn) unhook(h *hook) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.hooks, h)
}

// attached returns the hooks that are attached to nc.
func (c *Conn) attached(nc *nats.Conn) []*hook {
	c.mu.Lock()
	defer c.mu.Unlock()
	var hooks []*hook
	for h, to := range c.hooks {
		if to == nc {
			hooks = append(hooks, h)
		}
	}
	return hooks
}
