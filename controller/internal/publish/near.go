package publish

import (
	"maps"
	"sync"

	"kedge/proto"
)

// near is which caches hosts ask first, as far as somebody said so since the start.
type near struct {
	mu   sync.Mutex
	said map[proto.HostName][]string
}

// Near has hosts ask these caches before the controller's own, none for an empty
// list, from their next assignment on, which is signed with the next renewals. Of
// hosts that are not named what was said before stays, which their records keep.
func (p *Publisher) Near(caches map[proto.HostName][]string) {
	p.near.mu.Lock()
	defer p.near.mu.Unlock()
	if p.near.said == nil {
		p.near.said = make(map[proto.HostName][]string, len(caches))
	}
	maps.Copy(p.near.said, caches)
}

// of returns the caches near a host whose record has kept.
func (n *near) of(host proto.HostName, kept []string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if said, known := n.said[host]; known {
		return said
	}
	return kept
}
