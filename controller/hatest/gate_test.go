package hatest

import (
	"net"
	"sync"
	"testing"
)

// A gate stands between clients and a server, and lets each direction through or not.
// What was sent while it was shut is delivered when it is opened, also if whoever sent it
// is gone by then, as a network does that holds packets up.
type gate struct {
	there, back valve // to the server, and from it

	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	server string     // an address; empty if there is none
	open   map[net.Conn]bool
	closed bool
}

// startGate starts a gate with no server behind it.
func startGate(t *testing.T) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: l, open: map[net.Conn]bool{}}
	g.running.Go(g.accept)
	t.Cleanup(g.close)
	return g
}

func (g *gate) address() string { return g.listener.Addr().String() }

// used reports whether anybody came by it.
func (g *gate) used() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open) > 0
}

// lead leads to a server from now on.
func (g *gate) lead(server string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.server = server
}

// shut holds up whatever is sent, in both directions, and thaw lets it through.
func (g *gate) shut() { g.there.shut(); g.back.shut() }
func (g *gate) thaw() { g.there.thaw(); g.back.thaw() }

func (g *gate) close() {
	_ = g.listener.Close()
	g.mu.Lock()
	g.closed = true
	for c := range g.open {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.thaw()
	g.running.Wait()
}

func (g *gate) accept() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		to := g.server
		g.mu.Unlock()
		server, err := net.Dial("tcp", to)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !g.take(client, server) {
			return
		}
		g.running.Go(func() { g.carry(server, client, &g.there) })
		g.running.Go(func() { g.carry(client, server, &g.back) })
	}
}

// take notes connections that are to be closed with the gate, and reports whether it is
// open still.
func (g *gate) take(all ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range all {
		if g.closed {
			_ = c.Close()
		}
		g.open[c] = true
	}
	return !g.closed
}

// carry carries what one end sends to the other, which is then closed.
func (g *gate) carry(to, from net.Conn, v *valve) {
	defer func() { _ = to.Close() }()
	sent := make(chan []byte, 1<<12) // it is read at once: who sent it may end
	g.running.Go(func() {
		defer close(sent)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if n > 0 {
				sent <- b[:n]
			}
			if err != nil {
				return
			}
		}
	})
	for b := range sent {
		v.pass()
		if _, err := to.Write(b); err != nil {
			_ = from.Close() // nobody hears it
		}
	}
	v.pass()
}

// A valve is open, or shut. The zero value is open.
type valve struct {
	mu   sync.Mutex
	open chan struct{} // nil while it is open; else closed when it is opened
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open == nil {
		v.open = make(chan struct{})
	}
}

func (v *valve) thaw() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open != nil {
		close(v.open)
		v.open = nil
	}
}

// pass returns as soon as it is open.
func (v *valve) pass() {
	v.mu.Lock()
	open := v.open
	v.mu.Unlock()
	if open != nil {
		<-open
	}
}
