package natsd

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	repeatEvery     = time.Minute
	repeatRetry     = time.Second // at first, and twice that after each failure, up to repeatEvery
	repeatDoublings = 6
	// awayAfter is how long a server says nothing that may have missed something: it
	// tells how it stands every 10 s.
	awayAfter   = 30 * time.Second
	serverStats = "$SYS.SERVER.*.STATSZ"
	statsBuffer = 256
)

// Run has servers take again what they were to take last, until ctx ends, and then
// returns nil: as soon as it is connected, when a server shows up, and every minute. One
// that was down, or cut off, when somebody was revoked lets him in until then. A server
// that has what it is told does nothing about it.
func (r *Remote) Run(ctx context.Context) error {
	for failed := 0; ctx.Err() == nil; {
		if err := r.session(ctx); err == nil {
			failed = 0
		} else if failed++; failed == 1 && ctx.Err() == nil {
			r.o.Log.WarnContext(ctx, "accounts are not pushed again", "err", err)
		}
		t := time.NewTimer(min(repeatRetry<<min(failed, repeatDoublings), repeatEvery))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
	return nil
}

// session repeats over one connection. It returns nil once that is lost, as happens when
// its credentials expire, and an error if something was not taken.
func (r *Remote) session(ctx context.Context) error {
	closed := make(chan struct{})
	nc, err := r.connect(ctx, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		return err
	}
	defer nc.Close()
	stats := make(chan *nats.Msg, statsBuffer)
	if _, err := nc.ChanSubscribe(serverStats, stats); err != nil {
		return err
	}
	return repeat(ctx, stats, closed, func() error { return r.again(ctx, nc) })
}

// again pushes what was to be taken last.
func (r *Remote) again(ctx context.Context, nc *nats.Conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.pushAll(ctx, nc, remoteAccounts()); err != nil {
		return err
	}
	r.last = r.wanted
	return nil
}

// repeat pushes at once, for every server that shows up in stats, and every minute,
// until closed or ctx ends.
func repeat(ctx context.Context, stats <-chan *nats.Msg, closed <-chan struct{}, push func() error) error {
	tick := time.NewTicker(repeatEvery)
	defer tick.Stop()
	heard := servers{}
	for {
		if err := push(); err != nil {
			return err
		}
		if !due(ctx, heard, stats, tick.C, closed) {
			return nil
		}
	}
}

// due returns true when there is something to push, and false if there will not be.
func due(ctx context.Context, heard servers, stats <-chan *nats.Msg, tick <-chan time.Time, closed <-chan struct{}) bool {
	for {
		select {
		case m := <-stats:
			if heard.joined(m.Subject, time.Now()) {
				return true
			}
		case <-tick:
			return true
		case <-closed:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// servers has when each server was heard last, by its subject, which has the ID that it
// gets anew at each start.
type servers map[string]time.Time

// joined notes that a server was heard, and reports whether it was away before.
func (s servers) joined(server string, now time.Time) bool {
	last, known := s[server]
	for other, heard := range s {
		if now.Sub(heard) > awayAfter {
			delete(s, other)
		}
	}
	s[server] = now
	return !known || now.Sub(last) > awayAfter
}
