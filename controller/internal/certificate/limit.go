package certificate

import (
	"errors"
	"net"
	"sync"
	"time"
)

// How many handshakes begin in a second, in all and from one address, which may
// be a whole site. A handshake costs the server about a millisecond. Who is cut
// off comes again later, as after any lost connection.
const (
	handshakeRate  = 1000
	addressRate    = 100
	handshakeBurst = 2000
	addressBurst   = 500
	// maxAddresses bounds those that are remembered. Further ones share the bound
	// for all.
	maxAddresses = 4096
)

var errTooMany = errors.New("too many TLS handshakes at once")

// A limiter counts handshakes.
type limiter struct {
	now func() time.Time

	mu    sync.Mutex // guards what follows
	all   bucket
	addrs map[string]*bucket
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, all: bucket{left: handshakeBurst, last: now()}, addrs: map[string]*bucket{}}
}

// allow reports whether another handshake may begin.
func (l *limiter) allow(from net.Addr) bool {
	address := from.String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if b := l.bucket(address, now); b != nil && !b.take(now, addressRate, addressBurst) {
		return false
	}
	return l.all.take(now, handshakeRate, handshakeBurst)
}

// bucket returns that of an address; nil if there are too many. The caller holds
// l.mu.
func (l *limiter) bucket(address string, now time.Time) *bucket {
	if b := l.addrs[address]; b != nil {
		return b
	}
	if len(l.addrs) >= maxAddresses {
		l.forget(now)
	}
	if len(l.addrs) >= maxAddresses {
		return nil
	}
	b := &bucket{left: addressBurst, last: now}
	l.addrs[address] = b
	return b
}

// forget forgets the addresses that came seldom of late. The caller holds l.mu.
func (l *limiter) forget(now time.Time) {
	for address, b := range l.addrs {
		if b.fill(now, addressRate, addressBurst); b.left == addressBurst {
			delete(l.addrs, address)
		}
	}
}

// A bucket is filled at a rate, and emptied by one with every handshake.
type bucket struct {
	left float64
	last time.Time // filled
}

func (b *bucket) take(now time.Time, rate, burst float64) bool {
	b.fill(now, rate, burst)
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

func (b *bucket) fill(now time.Time, rate, burst float64) {
	b.left = min(burst, b.left+max(0, now.Sub(b.last).Seconds())*rate)
	b.last = now
}
