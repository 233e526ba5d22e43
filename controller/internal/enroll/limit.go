package enroll

import (
	"net/netip"
	"sync"
	"time"
)

// How many requests are answered within a window, of everybody and of one client: a
// site behind one address enrols within minutes, and nobody keeps others out for long.
const (
	window          = time.Minute
	limitOfAll      = 1200
	limitOfOne      = 120
	bitsOfAClientV6 = 64 // what one client is given at least
)

// limits count requests. What they remember is bounded by limitOfAll.
type limits struct {
	mu    sync.Mutex
	since time.Time // when the window began
	all   int
	of    map[string]int
}

func newLimits() *limits { return &limits{of: map[string]int{}} }

// allow reports whether a request from an address is to be answered.
func (l *limits) allow(from string, now time.Time) bool {
	from = site(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now.Sub(l.since); age >= window || age < 0 {
		l.since, l.all = now, 0
		clear(l.of)
	}
	if l.all >= limitOfAll || l.of[from] >= limitOfOne {
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
