package web

import (
	"net/http"
	"sync"
	"time"

	"kedge/proto"
)

// sharedFor is for how long what was read of the whole fleet is shown to all visitors:
// while much happens it is read that often, however many look.
const sharedFor = 3 * time.Second

// A snapshot is all hosts as they were read last. Safe for concurrent use.
type snapshot struct {
	mu      sync.Mutex // guards what follows; held while it is read, by one for all
	version uint64     // of the fleet
	at      time.Time  // when it was read
	hosts   []proto.HostView
}

// wholeFleet returns the fleet with all hosts, which nobody may change; they may be as old
// as sharedFor. Whether the visitor may see them is asked each time.
func (h *Handler) wholeFleet(r *http.Request, s session) (proto.FleetReply, error) {
	fleet, err := call[proto.FleetReply](h.api, r, s.token, proto.EndpointFleet, "limit", "1")
	if err != nil {
		return fleet, err
	}
	h.last.mu.Lock()
	defer h.last.mu.Unlock()
	now := h.now()
	if age := now.Sub(h.last.at); h.last.version != fleet.Version && (age < 0 || age >= sharedFor) {
		version, hosts, err := h.allHosts(r, s)
		if err != nil {
			return fleet, err
		}
		h.last.version, h.last.at, h.last.hosts = version, now, hosts
	}
	fleet.Hosts = h.last.hosts
	return fleet, nil
}

// allHosts reads all hosts, page by page. The version is that of the first page: what has
// changed since then is news.
func (h *Handler) allHosts(r *http.Request, s session) (version uint64, hosts []proto.HostView, err error) {
	for next := ""; ; {
		page, err := call[proto.FleetReply](h.api, r, s.token, proto.EndpointFleet, "continue", next)
		if err != nil {
			return 0, nil, err
		}
		if next == "" {
			version = page.Version
		}
		hosts = append(hosts, page.Hosts...)
		if next = page.Continue.String(); page.Continue.IsZero() {
			return version, hosts, nil
		}
	}
}
