package controller

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"kedge/proto"
)

// pageBytes bounds a page of hosts, which ends after the one that makes it larger. NATS
// takes no message of any size, and what hosts say is not always easy to compress.
const pageBytes = 2 << 20

// pageLimit returns how many hosts a page has at most that may have limit; zero is none.
func pageLimit(limit int) int { return cmp.Or(limit, proto.MaxHosts) }

// fits returns how many of all a page has that may have limit.
func fits[T any](all []T, limit int) (int, error) {
	n := min(len(all), pageLimit(limit))
	size := 0
	for i := range n {
		b, err := json.Marshal(all[i])
		if err != nil {
			return 0, fmt.Errorf("page: %w", err)
		}
		if size += len(b); size > pageBytes {
			return i + 1, nil
		}
	}
	return n, nil
}

// Page returns the fleet as it is, with the hosts after one: with limit of them, or
// fewer if a page holds no more. Zero is no limit.
func (f *Fleet) Page(after proto.HostName, limit int) (proto.FleetReply, error) {
	page := f.page(after, pageLimit(limit))
	n, err := fits(page.Hosts, limit)
	if err != nil {
		return proto.FleetReply{}, err
	}
	if n < len(page.Hosts) {
		page.Hosts, page.Continue = page.Hosts[:n], page.Hosts[n-1].Host
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
