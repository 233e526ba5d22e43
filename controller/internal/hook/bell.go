package hook

import (
	"sync"
	"time"
)

// A bell has something looked at: at once, and then no more often than once in a
// pause, however often it is rung. The last ring is never lost.
type bell struct {
	pause time.Duration
	look  func()

	mu      sync.Mutex // guards what follows
	last    time.Time
	pending bool // a look is to come
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending {
		return
	}
	wait := b.pause - time.Since(b.last)
	if wait <= 0 {
		b.last = time.Now()
		b.look()
		return
	}
	b.pending = true
	time.AfterFunc(wait, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pending, b.last = false, time.Now()
		b.look()
	})
}
