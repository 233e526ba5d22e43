package hosts

import (
	"context"
	"net"
)

// DialContext connects from the host itself to a literal IP address and port, 127.0.0.1 being the host. It has the form that
// http.Transport wants.
func (m *Machine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return m.namespace().dial(ctx, network, address)
}

// Inside calls f on a thread that is on the host's network: f itself may dial and listen there, as often as it likes, for less
// than one [Machine.DialContext] costs. What f has other goroutines do, such as an [net/http.Client], is done elsewhere.
func (m *Machine) Inside(f func() error) error { return m.namespace().inside(f) }

// Listen listens on an address of the host, in its stead, for a test that plays one of its services. The listener is of use until
// the host's next boot, which gets a network device of its own.
func (m *Machine) Listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	err = m.namespace().inside(func() error {
		var c net.ListenConfig
		l, err = c.Listen(ctx, network, address)
		return err
	})
	return l, err
}
