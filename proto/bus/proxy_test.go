package bus

import (
	"io"
	"net"
	"testing"
)

// A proxy stands between a client and a server.
type proxy struct {
	listener net.Listener
	server   string
	clients  chan net.Conn // accepted and not yet cut or injected into
}

// startProxy starts a proxy in front of the server at url.
func startProxy(t *testing.T, url string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: url[len("nats://"):], clients: make(chan net.Conn, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.clients <- client
			go p.serve(client)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	upstream, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	go func() {
		defer upstream.Close()
		_, _ = io.Copy(upstream, client)
	}()
	_, _ = io.Copy(client, upstream)
}

// inject sends text to the client as if the server had said it.
func (p *proxy) inject(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(receive(t, p.clients), text); err != nil {
		t.Fatal(err)
	}
}

// cut closes the client's connection.
func (p *proxy) cut() { _ = (<-p.clients).Close() }
