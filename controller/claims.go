package controller

import (
	"context"
	"maps"
	"slices"
	"strings"

	"kedge/proto"
)

// Claim notes which hosts follow a channel, as its newest revision says. It returns
// the other channels that gained or lost a rival for one of their hosts by this.
func (f *Fleet) Claim(channel string, hosts []proto.HostName) (others []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.rivals(channel)
	claimed := make(map[proto.HostName]bool, len(hosts))
	for _, h := range hosts {
		claimed[h] = true
	}
	f.claims[channel] = claimed
	gained := map[string]bool{}
	for name, h := range f.hosts {
		if follows := f.follows(name); follows != h.view.Channel {
			h.view.Channel, h.view.Waits = follows, nil // that was for another channel
			gained[follows] = true
			f.bump(h)
		}
	}
	for other := range gained {
		f.wait(other, nil, f.rollouts[other].show.Hosts)
	}
	f.bump(nil)
	after := f.rivals(channel)
	for _, other := range slices.Sorted(maps.Keys(f.claims)) {
		if !maps.Equal(before[other], after[other]) {
			others = append(others, other)
		}
	}
	return others
}

// Claimants returns the channels that claim a host, sorted. More than one claim
// none: nobody knows which of them is meant.
func (f *Fleet) Claimants(host proto.HostName) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.claimants(host)
}

// Claimed returns the hosts that a channel claims, in no order.
func (f *Fleet) Claimed(channel string) []proto.HostName {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.claims[channel]))
}

// AwaitClaims returns when it is known of every channel which hosts it claims, or
// that this cannot be found out now; or when ctx ends. A channel that is set up
// later than others must not find that they took its hosts first.
func (f *Fleet) AwaitClaims(ctx context.Context) {
	f.await(ctx, func() bool {
		for channel, s := range f.sources {
			if f.claims[channel] == nil && s.Error == "" {
				return false
			}
		}
		return true
	})
}

// Gone reports whether a host left the fleet: no channel claims it, and it is revoked, or
// nothing is known of it at all. None is known to be gone before every channel was deployed
// since the start, nor while one cannot be, nor before everything was heard that hosts said.
func (f *Fleet) Gone(host proto.HostName) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.caughtUp || len(f.claimants(host)) > 0 {
		return false
	}
	for _, s := range f.sources {
		if s.Built.IsZero() || s.Error != "" {
			return false
		}
	}
	h, known := f.hosts[host]
	if !known || h.view.Revoked() {
		return true
	}
	v := h.view
	return v.Key == nil && v.Want.Serial == 0 && v.Waits == nil && v.Status == nil && v.Seen.IsZero()
}

// rivals returns the hosts that other channels claim as well as channel does. The
// caller holds the mutex.
func (f *Fleet) rivals(channel string) map[string]map[proto.HostName]bool {
	shared := map[string]map[proto.HostName]bool{}
	for other, hosts := range f.claims {
		if other == channel {
			continue
		}
		shared[other] = map[proto.HostName]bool{}
		for h := range hosts {
			if f.claims[channel][h] {
				shared[other][h] = true
			}
		}
	}
	return shared
}

// claimants is [Fleet.Claimants]. The caller holds the mutex.
func (f *Fleet) claimants(host proto.HostName) (channels []string) {
	for _, channel := range slices.Sorted(maps.Keys(f.claims)) {
		if f.claims[channel][host] {
			channels = append(channels, channel)
		}
	}
	return channels
}

// follows returns the channel of a host. The caller holds the mutex.
func (f *Fleet) follows(host proto.HostName) string {
	if channels := f.claimants(host); len(channels) == 1 {
		return channels[0]
	}
	return ""
}

// A disputedError says that more than one channel claims a host.
type disputedError struct{ channels []string }

// Error implements error.
func (e *disputedError) Error() string {
	return "the channels " + strings.Join(e.channels, " and ") + " both claim the host, and nothing new comes from any of them; " +
		"take it out of one, or say in its sources.….hosts which hosts follow it"
}
