package cache

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// patience is how long a request waits for its turn. Nix takes a refusal for
	// a broken cache after a few within seconds; a wait it takes for a slow one.
	patience = 30 * time.Second
	// share is which part of all turns one address may have. It is no smaller,
	// because one address may be a whole site, or a proxy before everybody.
	share = 4
)

// A gate lets a bounded number of requests through at once, and of one address no
// more than its share of them. The others wait, first come, first served.
type gate struct {
	turns     *semaphore.Weighted
	perClient int64

	mu      sync.Mutex // guards clients
	clients map[string]*client
}

// client is an address with requests.
type client struct {
	turns    *semaphore.Weighted
	requests int // that are served, or wait; it is forgotten when there are none
}

func newGate(limit int) *gate {
	return &gate{
		turns:     semaphore.NewWeighted(int64(limit)),
		perClient: max(int64(limit)/share, 1),
		clients:   map[string]*client{},
	}
}

// enter waits for the turn of a request from an address. If it comes before the
// patience or ctx ends then leave must be called at its end.
func (g *gate) enter(ctx context.Context, address string) (leave func(), entered bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := g.come(address)
	if c.turns.Acquire(ctx, 1) != nil {
		g.goAway(address, c)
		return nil, false
	}
	if g.turns.Acquire(ctx, 1) != nil {
		c.turns.Release(1)
		g.goAway(address, c)
		return nil, false
	}
	return func() {
		g.turns.Release(1)
		c.turns.Release(1)
		g.goAway(address, c)
	}, true
}

// come counts a request of an address, and goAway does not count it any more.
func (g *gate) come(address string) *client {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, known := g.clients[address]
	if !known {
		c = &client{turns: semaphore.NewWeighted(g.perClient)}
		g.clients[address] = c
	}
	c.requests++
	return c
}

func (g *gate) goAway(address string, c *client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.requests--; c.requests == 0 {
		delete(g.clients, address)
	}
}
