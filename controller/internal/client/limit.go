package client

import (
	"net/netip"
	"sync"
	"time"
)

// Window is how long a [Limit] counts before it begins anew.
const Window = time.Minute

const bitsOfAClientV6 = 64 // what one client is given at least

// A Limit counts what clients do within a [Window]: nobody keeps others out for long.
// What it remembers is bounded. Make one with [NewLimit]. Safe for concurrent use.
type Limit struct {
	ofAll, ofOne int

	mu    sync.Mutex // guards what follows
	since time.Time  // when the window began
	all   int
	of    map[string]int
}

// NewLimit returns a limit of so much for everybody together, and for one client.
func NewLimit(ofAll, ofOne int) *Limit {
	return &Limit{ofAll: ofAll, ofOne: ofOne, of: map[string]int{}}
}

// Allow reports whether a client at an address may do it once more, and counts that.
func (l *Limit) Allow(from string, now time.Time) bool {
	from = site(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now.Sub(l.since); age >= Window || age < 0 {
		l.since, l.all = now, 0
		clear(l.of)
	}
	if l.all >= l.ofAll || l.of[from] >= l.ofOne {
		return false
	}
	l.all++
	l.of[from]++
	return true
}

// site returns what the addresses of one client have in common.
func site(from string) string {
	a, err := netip.ParseAddr(from)
	if err != nil || a.Is4() {
		return from
	}
	p, err := a.Prefix(bitsOfAClientV6)
	if err != nil {
		return from
	}
	return p.String()
}
