package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// A Conn is a connection to NATS that stays: it reconnects when it is lost, and
// is built anew when nats.go has given up on it, as it does on some errors of
// authentication. All methods are safe for concurrent use.
type Conn struct {
	options Options
	log     *slog.Logger
	stop    context.CancelFunc // ends run
	abrupt  atomic.Bool        // nothing is waited for at the end
	done    chan struct{}      // closed when run has ended

	hooked chan struct{} // says that hooks has a new element; capacity 1

	// No method of nats.Conn may be called with mu locked: while nats.go
	// dials, they wait.
	mu      sync.Mutex // guards what follows
	nats    *nats.Conn // the current one; nil between two
	state   State
	changed chan struct{}        // closed and replaced whenever state changes
	hooks   map[*hook]*nats.Conn // and what each is attached to
	flights map[*flight]struct{}
}

// Connect returns a connection that connects in the background, at once and
// then again and again. It lasts until Close is called or ctx ends. The error
// says what is wrong with o, never that a server cannot be reached.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	c := &Conn{
		options: o,
		log:     o.Log,
		stop:    stop,
		done:    make(chan struct{}),
		state:   State{Since: time.Now()},
		changed: make(chan struct{}),
		hooked:  make(chan struct{}, 1),
		hooks:   make(map[*hook]*nats.Conn),
		flights: make(map[*flight]struct{}),
	}
	go c.run(ctx)
	return c, nil
}

// Close lets what is under way finish and closes the connection. It waits 5 s at
// most for that, and as long again for a server that says nothing. It may be
// called more than once.
func (c *Conn) Close() {
	c.stop()
	<-c.done
}

// Break closes the connection like Close, but waits for nothing: what is under way may
// get lost.
func (c *Conn) Break() {
	c.abrupt.Store(true)
	c.Close()
}

// Elsewhere connects anew, to another server if there are several.
func (c *Conn) Elsewhere() {
	nc, err := c.connected()
	if err != nil {
		return // it tries them all
	}
	_ = nc.ForceReconnect() // else it was closed meanwhile, and is built anew
}

// run keeps one nats.Conn after another until ctx ends.
func (c *Conn) run(ctx context.Context) {
	defer c.stop()
	defer close(c.done)
	for attempt := 1; ; attempt++ {
		before := c.State().Connects
		err := c.live(ctx)
		if ctx.Err() != nil {
			c.lost(ErrClosed)
			return
		}
		c.lost(err)
		if c.State().Connects != before {
			attempt = 1
		}
		if errors.Is(err, errNewIdentity) {
			continue
		}
		d := c.options.Backoff.delay(attempt)
		c.log.WarnContext(ctx, "connection to NATS is built anew", "err", err, "delay", d)
		if !wait(ctx, d) {
			return
		}
	}
}

// live makes one nats.Conn and returns when it is closed for good: by ctx, by
// nats.go, or because the credentials became somebody else's.
func (c *Conn) live(ctx context.Context) error {
	l := newLife()
	defer l.ready.close()
	nc, err := c.dial(ctx, l)
	if err != nil {
		return err
	}
	c.adopt(nc)
	defer c.adopt(nil)
	for {
		c.attach(nc)
		l.ready.close()
		select {
		case <-c.hooked:
		case <-l.over.c:
			return nc.LastError()
		case <-l.replaced.c:
			nc.Close()
			<-l.over.c
			return errNewIdentity
		case <-ctx.Done():
			if c.abrupt.Load() || nc.Drain() != nil { // not connected: nothing to drain
				nc.Close()
			}
			<-l.over.c
			return ctx.Err()
		}
	}
}

// adopt makes nc the current connection.
func (c *Conn) adopt(nc *nats.Conn) {
	c.mu.Lock()
	c.nats = nc
	c.mu.Unlock()
	c.update(func(*State) {})
}

// made notes that nc is connected.
func (c *Conn) made(nc *nats.Conn) {
	server := nc.ConnectedUrlRedacted()
	c.update(func(s *State) {
		*s = State{Connected: true, Since: time.Now(), Server: server, Connects: s.Connects + 1}
	})
	for _, h := range c.attached(nc) {
		h.connected()
	}
}

// lost notes that there is no connection, and why. Requests that wait for an
// answer will not get it.
func (c *Conn) lost(err error) {
	c.update(func(s *State) {
		if s.Connected {
			s.Connected, s.Since = false, time.Now()
		}
		if err != nil {
			s.Err = taken(err)
		}
	})
	c.abandon(ErrNotConnected)
}

// connected returns the nats.Conn if it is connected.
func (c *Conn) connected() (*nats.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.nats != nil && c.state.Connected:
		return c.nats, nil
	case c.state.Err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNotConnected, c.state.Err)
	default:
		return nil, ErrNotConnected
	}
}

// is reports whether nc is the current nats.Conn.
func (c *Conn) is(nc *nats.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nats == nc
}
