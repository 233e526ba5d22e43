package rollout

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"kedge/proto"
)

// canary returns who of moving, which are some of a wave's n members, go before
// the others; sorted. They are chosen from those that are online, for nobody would
// wait for others.
func (v view) canary(wave Wave, n int, moving []proto.HostName) []proto.HostName {
	if wave.CanarySize.IsZero() && len(wave.Canary) == 0 {
		return nil
	}
	online := slices.DeleteFunc(slices.Clone(moving), func(h proto.HostName) bool { return !v.fleet.Hosts[h].online() })
	named := slices.DeleteFunc(slices.Clone(online), func(h proto.HostName) bool { return !contains(wave.Canary, h) })
	if len(named) > 0 {
		return named
	}
	size := max(1, wave.CanarySize.CeilOf(n))
	if heard := v.heard(online); len(heard) >= size {
		online = heard
	}
	return draw(v.seed(), online, size)
}

// redraw returns who else of wave goes before the others, where its canary is through and
// showed nothing: all of it turned out to be offline, say, or was overtaken.
func (v view) redraw(wave Wave) []proto.HostName {
	if slices.ContainsFunc(wave.Canary, func(h proto.HostName) bool { return v.Hosts[h].charge() != none }) {
		return nil
	}
	moving := slices.DeleteFunc(slices.Clone(wave.Hosts), func(h proto.HostName) bool { return !v.moving(h) })
	return v.canary(wave, len(wave.Hosts), moving)
}

// heard returns those of hosts that were heard of since hosts are listened to: the others
// are online only as far as is known.
func (v view) heard(hosts []proto.HostName) []proto.HostName {
	return slices.DeleteFunc(slices.Clone(hosts), func(h proto.HostName) bool {
		return v.fleet.Hosts[h].Seen.Before(v.fleet.Since)
	})
}

// seed returns what is the same for every rollout of a revision.
func (r Rollout) seed() string {
	if r.Revision.IsZero() {
		return r.ID
	}
	return r.Revision.String()
}

// draw returns n of hosts by lot, or all if there are no more; sorted, as hosts
// are. The same seed draws the same hosts, as far as they are there.
func draw(seed string, hosts []proto.HostName, n int) []proto.HostName {
	if len(hosts) <= n {
		return hosts
	}
	type lot struct {
		host proto.HostName
		sum  [sha256.Size]byte
	}
	lots := make([]lot, len(hosts))
	for i, h := range hosts {
		lots[i] = lot{h, sha256.Sum256([]byte(seed + "\x00" + h.String()))}
	}
	slices.SortFunc(lots, func(a, b lot) int { return bytes.Compare(a.sum[:], b.sum[:]) })
	drawn := make([]proto.HostName, n)
	for i := range drawn {
		drawn[i] = lots[i].host
	}
	slices.SortFunc(drawn, proto.HostName.Compare)
	return drawn
}
