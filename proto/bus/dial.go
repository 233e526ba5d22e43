package bus

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"kedge/proto"
)

const (
	pingInterval = 30 * time.Second // NAT boxes forget a silent connection within minutes
	maxPings     = 3
	drainTimeout = 5 * time.Second // nats.go then waits as long for the server
)

// errNewIdentity says that the credentials file holds another user's key. The
// inbox is named after the key, so the nats.Conn has to go.
var errNewIdentity = errors.New("credentials were replaced by those of another user")

// A life is what happens to one nats.Conn.
type life struct {
	ready    once // callbacks may run
	over     once // closed for good, callbacks have run
	replaced once // the credentials file holds another user's key
}

func newLife() *life {
	return &life{ready: newOnce(), over: newOnce(), replaced: newOnce()}
}

// A once is a channel that may be closed more than once.
type once struct {
	c     chan struct{}
	close func()
}

func newOnce() once {
	c := make(chan struct{})
	return once{c: c, close: sync.OnceFunc(func() { close(c) })}
}

// dial makes a nats.Conn, connected or about to be. The error is one that trying
// again without nats.go's help is for: credentials that cannot be read.
func (c *Conn) dial(ctx context.Context, l *life) (*nats.Conn, error) {
	creds, err := c.options.credentials()
	if err != nil {
		return nil, err
	}
	creds.pair.Wipe()
	options := []nats.Option{
		nats.Name(c.options.Name),
		nats.NoEcho(),
		nats.CustomInboxPrefix(proto.InboxRoot + creds.publicKey),
		nats.UserJWT(c.jwt(creds.publicKey, l), c.sign),
		nats.Timeout(c.options.Timeout),
		nats.SetCustomDialer(dialer{dial: func(network, address string) (net.Conn, error) {
			return c.open(ctx, network, address)
		}}),
		nats.SkipHostLookup(), // a proxy may know names that nobody here does
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(c.options.Backoff.delay),
		nats.ReconnectBufSize(-1), // what was true then may not be true any more
		nats.IgnoreAuthErrorAbort(),
		nats.IgnoreDiscoveredServers(),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.DrainTimeout(drainTimeout),
		nats.PermissionErrOnSubscribe(true),
	}
	options = append(options, c.trust)
	if c.options.InProcess != nil {
		options = append(options, nats.InProcessServer(c.options.InProcess))
	}
	options = append(options, c.callbacks(ctx, l)...)
	return nats.Connect(strings.Join(c.options.Servers, ","), options...)
}

// trust is the option that says whom TLS trusts. The authorities in a file are
// read at each connection.
func (c *Conn) trust(o *nats.Options) error {
	out := c.options.Outbound
	if !out.Trusts() {
		return nil
	}
	o.Secure = true
	if out.CAFile != "" {
		o.RootCAsCB = out.Roots
		return nil
	}
	var err error
	o.TLSConfig, err = out.TLS()
	return err
}

// callbacks returns the options that keep c informed. None of them runs before
// the connection was adopted.
func (c *Conn) callbacks(ctx context.Context, l *life) []nats.Option {
	return []nats.Option{
		nats.ConnectHandler(func(nc *nats.Conn) {
			<-l.ready.c
			c.made(nc)
			c.log.InfoContext(ctx, "connected to NATS", "server", nc.ConnectedUrlRedacted())
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			<-l.ready.c
			c.made(nc)
			c.log.InfoContext(ctx, "connected to NATS again", "server", nc.ConnectedUrlRedacted())
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			<-l.ready.c
			c.lost(err)
			if err != nil { // else it was closed here
				c.log.WarnContext(ctx, "connection to NATS lost", "err", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			<-l.ready.c
			c.unreachable(ctx, err)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			<-l.ready.c
			c.complaint(ctx, sub, err)
		}),
		nats.ClosedHandler(func(*nats.Conn) { l.over.close() }),
	}
}

// unreachable notes an attempt that failed, and logs the first of several that
// failed alike.
func (c *Conn) unreachable(ctx context.Context, err error) {
	before := c.State().Err
	err = taken(err)
	c.lost(err)
	if before == nil || before.Error() != err.Error() {
		c.log.WarnContext(ctx, "cannot connect to NATS", "err", err)
	}
}

// complaint handles what the server or the client library has against us.
func (c *Conn) complaint(ctx context.Context, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		c.deny(err)
	}
	if !c.State().Connected {
		c.unreachable(ctx, err)
		return
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	c.log.WarnContext(ctx, "NATS complains", "err", err, "subject", subject)
}

// jwt returns the function that reads the user JWT, for as long as it is that of
// the user with this public key.
func (c *Conn) jwt(publicKey string, l *life) nats.UserJWTHandler {
	return func() (string, error) {
		creds, err := c.options.credentials()
		if err != nil {
			return "", err
		}
		defer creds.pair.Wipe()
		if creds.publicKey != publicKey {
			l.replaced.close()
			return "", errNewIdentity
		}
		return creds.jwt, nil
	}
}

// sign signs the server's nonce with the key in the credentials file.
func (c *Conn) sign(nonce []byte) ([]byte, error) {
	_, pair, err := readCreds(c.options.Credentials)
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}

// open opens one network connection. If ctx ends before the server has let us in,
// it is closed: nats.go would wait for the server's first words.
func (c *Conn) open(ctx context.Context, network, address string) (net.Conn, error) {
	within, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	conn, err := c.options.Outbound.DialContext(within, network, address)
	if err != nil {
		return nil, err
	}
	// A server that says nothing, or no end of TLS, is given no more time. Once
	// connected, nats.go sets deadlines of its own.
	if err := conn.SetDeadline(time.Now().Add(c.options.Timeout)); err != nil {
		_ = conn.Close() // it is broken
		return nil, err
	}
	forget := context.AfterFunc(ctx, func() {
		if !c.State().Connected {
			_ = conn.Close() // nobody waits for it
		}
	})
	return &socket{Conn: conn, forget: forget}, nil
}

// A socket is a network connection that is no longer watched once it is closed.
type socket struct {
	net.Conn
	forget func() bool
}

// Close implements net.Conn.
func (s *socket) Close() error {
	s.forget()
	return s.Conn.Close()
}

// A dialer is a nats.CustomDialer made of a function.
type dialer struct {
	dial func(network, address string) (net.Conn, error)
}

// Dial implements nats.CustomDialer.
func (d dialer) Dial(network, address string) (net.Conn, error) { return d.dial(network, address) }
