package bus

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Backoff says how long to wait before the next attempt: a random time
// between nothing and Base·2ⁿ, never more than Cap. The randomness is all of it
// ("full jitter"), so that a fleet that lost its server together does not come
// back together. A zero field has its default.
type Backoff struct {
	Base time.Duration // defaults to 1 s
	Cap  time.Duration // defaults to 120 s
}

const (
	defaultBackoffBase = time.Second
	defaultBackoffCap  = 120 * time.Second
)

// withDefaults returns b with its zero fields filled.
func (b Backoff) withDefaults() Backoff {
	if b.Base == 0 {
		b.Base = defaultBackoffBase
	}
	if b.Cap == 0 {
		b.Cap = defaultBackoffCap
	}
	return b
}

// ceiling returns the longest wait before the attempt with this number, which
// counts from 1.
func (b Backoff) ceiling(attempt int) time.Duration {
	d := b.Base
	for ; attempt > 1 && d < b.Cap; attempt-- {
		d *= 2
	}
	return min(d, b.Cap)
}

// delay returns a random wait before the attempt with this number.
func (b Backoff) delay(attempt int) time.Duration {
	return rand.N(b.ceiling(attempt) + 1)
}

// wait returns true after d, or false as soon as ctx ends.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
