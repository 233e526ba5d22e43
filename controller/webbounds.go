package controller

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// How many connections may be open at once that have not become a WebSocket, in
// all and from one address, which may be a whole site or a proxy before everybody.
// Further ones are closed at once. WebSockets are bounded by NATS.
const (
	maxConnections    = 16384
	maxFromOneAddress = 2048
)

// A door is a listener that closes connections that are too many.
type door struct {
	net.Listener

	mu   sync.Mutex // guards what follows
	all  int
	open map[string]int // by address
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if address := hostOf(conn.RemoteAddr()); d.enter(address) {
			return &counted{Conn: conn, forget: sync.OnceFunc(func() { d.leave(address) })}, nil
		}
		_ = conn.Close() // nothing was said yet
	}
}

func (d *door) enter(address string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= maxConnections || d.open[address] >= maxFromOneAddress {
		return false
	}
	d.all++
	d.open[address]++
	return true
}

func (d *door) leave(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.open[address]--; d.open[address] == 0 {
		delete(d.open, address)
	}
}

// A counted connection is one of those that are bounded, until it is closed or
// forgotten.
type counted struct {
	net.Conn
	forget func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.forget()
	return c.Conn.Close()
}

// settled forgets a connection that became a WebSocket.
func settled(conn net.Conn, state http.ConnState) {
	if state != http.StateHijacked {
		return
	}
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if c, ok := conn.(*counted); ok {
		c.forget()
	}
}

// hostOf returns an address without its port.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
