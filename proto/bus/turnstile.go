package bus

import (
	"sync"
	"time"

	"kedge/proto"
)

// How many requests of one host are answered: more than any that means well makes.
const (
	turnstileRequests = 20
	turnstileWindow   = time.Minute
)

// A turnstile keeps one host from taking the place of others. What it remembers is
// bounded by the number of hosts with credentials.
type turnstile struct {
	mu     sync.Mutex
	guests map[proto.HostName]guest
}

// A guest is a host that came by.
type guest struct {
	inside bool
	since  time.Time // when the window began
	count  int       // of those that were let in since
}

func newTurnstile() *turnstile { return &turnstile{guests: make(map[proto.HostName]guest)} }

// enter lets a request of host in, which is to leave again, or says why not.
func (t *turnstile) enter(host proto.HostName, now time.Time) *APIError {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.guests[host]
	if now.Sub(g.since) >= turnstileWindow {
		g.since, g.count = now, 0
	}
	switch {
	case g.inside:
		return Errorf(CodeUnavailable, "another request of %s is under way", host)
	case g.count >= turnstileRequests:
		return Errorf(CodeUnavailable, "%s made %d requests within %s; try again later", host, g.count, turnstileWindow)
	}
	g.inside, g.count = true, g.count+1
	t.guests[host] = g
	return nil
}

// leave lets the next request of host in.
func (t *turnstile) leave(host proto.HostName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.guests[host]
	g.inside = false
	t.guests[host] = g
}
