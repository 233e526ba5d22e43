package controller

import (
	"net"
	"sync"
)

// visitors are the clients of NATS that came by WebSocket through our HTTP server:
// NATS sees that server. Safe for concurrent use.
type visitors struct {
	mu   sync.Mutex
	from map[string]string // the client's address, by that which NATS sees
}

func newVisitors() *visitors { return &visitors{from: map[string]string{}} }

// behind returns the address of the client behind one that NATS sees, with its port;
// empty if there is none.
func (v *visitors) behind(seen string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.from[seen]
}

// A passage is a connection to NATS, of one visitor.
type passage struct {
	net.Conn
	visitors *visitors
	closed   bool // guarded by that of visitors
}

// let notes whose connection it is, until it is closed.
func (p *passage) let(client string) {
	p.visitors.mu.Lock()
	defer p.visitors.mu.Unlock()
	if !p.closed {
		p.visitors.from[p.LocalAddr().String()] = client
	}
}

// Close implements net.Conn.
func (p *passage) Close() error {
	p.visitors.mu.Lock()
	if !p.closed { // else it may be another's address by now
		p.closed = true
		delete(p.visitors.from, p.LocalAddr().String())
	}
	p.visitors.mu.Unlock()
	return p.Conn.Close()
}
