package publish

import (
	"sync"
	"sync/atomic"
	"time"

	"kedge/proto"
)

// host is what is said to one host, and how far the bus has come with it.
type host struct {
	mu     sync.Mutex // guards what follows; held for a whole publication
	record Record     // zero before the first
	seq    uint64     // of the state on the bus
	seen   bool       // seq is known
	synced bool       // the bus holds record, as far as we know

	shown atomic.Pointer[standing] // never nil
}

// standing is how a host stands, for those who only look: a publication may take
// as long as the bus lets it wait.
type standing struct {
	issued    time.Time // of the assignment; zero before the first
	unsynced  bool
	toplevels []proto.StorePath // that the host may run
}

func newHost(r Record) *host {
	h := &host{}
	h.set(r, false)
	return h
}

// found notes that the bus has something of h, of which nothing is known. The caller
// holds h.mu.
func (h *host) found() { h.shown.Store(&standing{unsynced: true}) }

// set notes what was signed last for h, and whether the bus holds it. The caller
// holds h.mu.
func (h *host) set(r Record, synced bool) {
	h.record, h.synced = r, synced
	h.shown.Store(&standing{issued: r.Issued, unsynced: !synced && !r.Host.IsZero(), toplevels: r.toplevels()})
}
