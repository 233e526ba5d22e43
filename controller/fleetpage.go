package controller

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"kedge/proto"
)

// Bounds of a page of the fleet. NATS takes no message of any size, and what hosts say
// is not always easy to compress.
const (
	maxFleetPage   = 1000    // hosts
	fleetPageBytes = 2 << 20 // a page ends after the host that makes it larger
)

// Page returns the fleet as it is, with the hosts after one: with limit of them, or
// fewer if a page holds no more. Below one, limit is none.
func (f *Fleet) Page(after proto.HostName, limit int) (proto.FleetReply, error) {
	if limit < 1 || limit > maxFleetPage {
		limit = maxFleetPage
	}
	page := f.page(after, limit)
	size := 0
	for i, h := range page.Hosts {
		b, err := json.Marshal(h)
		if err != nil {
			return proto.FleetReply{}, fmt.Errorf("host %s: %w", h.Host, err)
		}
		if size += len(b); size > fleetPageBytes && i+1 < len(page.Hosts) {
			page.Hosts, page.Continue = page.Hosts[:i+1], h.Host
			break
		}
	}
	return page, nil
}

// page is Page, however large.
func (f *Fleet) page(after proto.HostName, limit int) proto.FleetReply {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := slices.SortedFunc(maps.Keys(f.hosts), proto.HostName.Compare)
	from, found := slices.BinarySearchFunc(names, after, proto.HostName.Compare)
	if found {
		from++
	}
	names = names[from:]
	page := proto.FleetReply{Version: f.version, Hosts: []proto.HostView{}, Sources: f.sorted(), Rollouts: f.views()}
	for _, name := range names[:min(limit, len(names))] {
		page.Hosts = append(page.Hosts, f.hosts[name].view)
	}
	if len(names) > limit {
		page.Continue = names[limit-1]
	}
	return page
}
