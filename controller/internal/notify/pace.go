package notify

import (
	"slices"
	"time"

	"kedge/proto"
)

// How many notices of one kind a destination is told of one host within a spell: whoever is
// root on a host can have it go back every few seconds.
const (
	spell    = 10 * time.Minute
	perSpell = 3
)

// A kind is what is bounded.
type kind struct {
	host  proto.HostName
	event Event
}

func kindOf(n Notice) kind { return kind{n.Host, n.Event} }

// A pace says how much a destination is told of each host. The zero value is one that was
// told nothing. It is of one goroutine.
type pace struct {
	told map[kind][]time.Time // within the last spell
	held map[kind]hold
}

// A hold is what a destination was not told of a kind since it was told something.
type hold struct {
	key   string // the last one
	count int
}

// allows reports whether n may be told now. If not it counts as held back, once for its key;
// fresh is that it had not before.
func (p *pace) allows(n Notice, now time.Time) (ok, fresh bool) {
	k := kindOf(n)
	if n.Host.IsZero() || len(p.lately(k, now)) < perSpell {
		return true, false
	}
	h := p.held[k]
	if h.key == n.Key {
		return false, false
	}
	if p.held == nil {
		p.held = map[kind]hold{}
	}
	p.held[k] = hold{n.Key, h.count + 1}
	return false, true
}

// heldBack returns how many others of n's kind were held back since one was told.
func (p *pace) heldBack(n Notice) int {
	h := p.held[kindOf(n)]
	if h.key == n.Key {
		return h.count - 1
	}
	return h.count
}

// tell notes that n was told.
func (p *pace) tell(n Notice, now time.Time) {
	k := kindOf(n)
	if n.Host.IsZero() {
		return
	}
	if p.told == nil {
		p.told = map[kind][]time.Time{}
	}
	p.told[k] = append(p.lately(k, now), now)
	delete(p.held, k)
}

// lately returns when something of k was told within the last spell, and forgets the rest.
func (p *pace) lately(k kind, now time.Time) []time.Time {
	all := slices.DeleteFunc(p.told[k], func(at time.Time) bool { return now.Sub(at) >= spell })
	if len(all) == 0 {
		delete(p.told, k)
		return nil
	}
	p.told[k] = all
	return all
}
