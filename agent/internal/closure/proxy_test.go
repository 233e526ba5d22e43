package closure

import (
	"net"
	"testing"

	"kedge/proto/outbound"
)

// TestAProxyThatSpeaksTLSIsSpokenToWithIt: or everybody on the way reads its password.
func TestAProxyThatSpeaksTLSIsSpokenToWithIt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan byte, 1)
	go func() {
		defer close(heard)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		first := make([]byte, 1)
		if _, err := conn.Read(first); err == nil {
			heard <- first[0]
		}
	}()
	w := &Ways{Outbound: outbound.Options{Proxy: "https://kedge:s3cret@" + l.Addr().String()}}
	if _, err := get(t.Context(), w.Client(), "https://cache.example.org/nix-cache-info", 100); err == nil {
		t.Error("a cache was reached through a proxy that hangs up")
	}
	const handshake = 0x16
	if first := <-heard; first != handshake {
		t.Errorf("the first byte to the proxy is %q, want that of a handshake", first)
	}
}
