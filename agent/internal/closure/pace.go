package closure

import (
	"context"
	"io"
	"sync"
	"time"
)

// A Pace bounds how many bytes a second are read of all that it is asked about together. Safe for concurrent
// use; construct with [NewPace]. A nil Pace bounds nothing.
type Pace struct {
	perSecond int64

	mu   sync.Mutex // guards next
	next time.Time  // when what is read next may begin
}

// NewPace returns a Pace of so many bytes a second; nil for 0.
func NewPace(perSecond uint64) *Pace {
	if perSecond == 0 {
		return nil
	}
	return &Pace{perSecond: int64(min(perSecond, 1<<40))} //nolint:gosec // it is no more than that
}

// longest is what nothing takes longer than by its pace alone: then something else is wrong.
const longest = 30 * 24 * time.Hour

// takes returns how long so many bytes take at the pace.
func (p *Pace) takes(bytes uint64) time.Duration {
	if p == nil {
		return 0
	}
	seconds := min(bytes/uint64(p.perSecond), uint64(longest/time.Second)) //nolint:gosec // not negative
	return time.Duration(seconds) * time.Second                            //nolint:gosec // bounded
}

// turns is how many reads make a second, at most, so that many who read at once all go on.
const turns = 16

// of returns body at the pace, until ctx ends.
func (p *Pace) of(ctx context.Context, body io.ReadCloser) io.ReadCloser {
	if p == nil {
		return body
	}
	return pacedBody{ReadCloser: body, ctx: ctx, pace: p}
}

// wait waits until what was read before has had its time, and books that of n bytes more.
func (p *Pace) wait(ctx context.Context, n int) error {
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	begin := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(int64(n) * int64(time.Second) / p.perSecond))
	p.mu.Unlock()
	timer := time.NewTimer(begin)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pacedBody is the body of an answer at a pace.
type pacedBody struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // it is of one request
	pace *Pace
}

// Read implements [io.Reader].
func (b pacedBody) Read(p []byte) (int, error) {
	if most := max(b.pace.perSecond/turns, 1); int64(len(p)) > most {
		p = p[:most]
	}
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		if late := b.pace.wait(b.ctx, n); late != nil {
			return n, late
		}
	}
	return n, err
}
