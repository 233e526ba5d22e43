package cache

import (
	"maps"
	"sync"
	"time"
)

// reads knows which files of the cache were asked for when. Safe for concurrent use.
type reads struct {
	mu *sync.Mutex // guards at
	at map[string]time.Time
}

func newReads() reads { return reads{mu: &sync.Mutex{}, at: map[string]time.Time{}} }

// note notes that a file, which is there, is asked for.
func (r reads) note(file string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[file] = now
}

// last returns when a file was asked for last; zero if that is not known.
func (r reads) last(file string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[file]
}

// forget forgets what was asked for before an instant.
func (r reads) forget(before time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.at, func(_ string, at time.Time) bool { return at.Before(before) })
}
