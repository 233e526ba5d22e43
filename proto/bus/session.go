package bus

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go"
)

// sessions calls f whenever c is connected, with a context that ends when this
// connection does; f then sets up anew what it needs. It returns when ctx ends
// (nil) or c is closed ([ErrClosed]). If f fails or returns while connected, it
// is called again after a while.
func (c *Conn) sessions(ctx context.Context, log *slog.Logger, what string, f func(context.Context, *nats.Conn) error) error {
	for attempt := 1; ; attempt++ {
		if err := c.AwaitConnected(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		before := c.State().Connects
		err := c.session(ctx, f)
		if ctx.Err() != nil {
			return nil
		}
		if s := c.State(); !s.Connected || s.Connects != before {
			attempt = 0
			continue
		}
		d := c.options.Backoff.delay(attempt)
		log.WarnContext(ctx, "broke off, begins again", "what", what, "err", err, "delay", d)
		if !wait(ctx, d) {
			return nil
		}
	}
}

// session calls f for the connection that there is now.
func (c *Conn) session(ctx context.Context, f func(context.Context, *nats.Conn) error) error {
	state, _ := c.Watch()
	nc, err := c.connected()
	if err != nil {
		return err
	}
	return c.while(ctx, func() bool {
		now := c.State()
		return now.Connected && now.Connects == state.Connects
	}, func(ctx context.Context) error { return f(ctx, nc) })
}

// lives calls f for every nats.Conn, one after the other, with a context that
// ends when that is closed for good. Between, nats.go reconnects it and restores
// its subscriptions. If f fails in a way that is not [Transient] while there is
// such a nats.Conn, that is returned. For the rest it is as sessions.
func (c *Conn) lives(ctx context.Context, f func(context.Context, *nats.Conn) error) error {
	for attempt := 1; ; attempt++ {
		if err := c.AwaitConnected(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		nc, err := c.connected()
		if err != nil {
			continue
		}
		err = c.while(ctx, func() bool { return c.is(nc) }, func(ctx context.Context) error { return f(ctx, nc) })
		if ctx.Err() != nil {
			return nil
		}
		if !c.is(nc) {
			attempt = 0
			continue
		}
		// It may be closed, and nobody was told yet.
		if !Transient(err) {
			return err
		}
		if !wait(ctx, c.options.Backoff.delay(attempt)) {
			return nil
		}
	}
}

// while calls f with a context that ends when holds, which is asked at every
// change of the state, becomes false.
func (c *Conn) while(ctx context.Context, holds func() bool, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		for {
			_, changed := c.Watch()
			if !holds() {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	err := f(ctx)
	cancel()
	<-watched
	return err
}
