package rollout

import (
	"slices"
	"time"

	"kedge/internal/spec"
	"kedge/proto"
)

// waves returns the waves that s makes of hosts, in order, and the rest. Those that select
// nobody are left out; one has no hosts if it selects only some of unbuilt.
func waves(s spec.Spec, hosts, unbuilt []proto.HostName) (all []Wave) {
	for _, sw := range s.Rollout.Waves {
		var members, lost []proto.HostName
		members, hosts = split(s, sw.Hosts, hosts)
		lost, unbuilt = split(s, sw.Hosts, unbuilt)
		if len(members)+len(lost) > 0 {
			all = append(all, wave(s, sw, members, lost))
		}
	}
	rest := Wave{Name: spec.RestWave, Rest: true, Hosts: hosts, Budget: s.Rollout.Budget, Windows: s.Rollout.Windows}
	if len(s.Rollout.Waves) == 0 {
		rest.Name = spec.AllWave
	}
	return append(all, rest)
}

// split returns those of hosts whom sel selects, and the others, in the same order.
func split(s spec.Spec, sel spec.Selector, hosts []proto.HostName) (selected, others []proto.HostName) {
	for _, h := range hosts {
		if s.Match(sel, h) {
			selected = append(selected, h)
		} else {
			others = append(others, h)
		}
	}
	return selected, others
}

// wave returns the wave of members that sw describes. Where its canary is named, and all of
// that is of lost, those of its hosts that could not be built, one of members is drawn.
func wave(s spec.Spec, sw spec.Wave, members, lost []proto.HostName) Wave {
	w := Wave{
		Name: sw.Name, Hosts: members, CanarySize: sw.Canary.Size, CanarySoak: sw.Canary.Soak,
		MaxInFlight: sw.MaxInFlight, Soak: sw.Soak, Approval: sw.Approval, Budget: s.Rollout.Budget, Windows: s.Rollout.Windows,
	}
	w.Canary, _ = split(s, sw.Canary.Hosts, members)
	if named, _ := split(s, sw.Canary.Hosts, lost); len(w.Canary) == 0 && len(named) > 0 {
		w.CanarySize = spec.Count(1)
	}
	if sw.Budget != nil {
		w.Budget = *sw.Budget
	}
	if sw.Windows != nil {
		w.Windows = *sw.Windows
	}
	return w
}

// stoodIn returns waves, of a rollout that begins, without those of which nobody could be
// built. Where these soak, one host of the next wave that has something new for somebody goes
// before its others, and soaks as long.
func (v view) stoodIn(waves []Wave) (all []Wave) {
	var soak time.Duration
	goes := func(h proto.HostName) bool { return v.moving(h) && v.fleet.Hosts[h].online() }
	for _, w := range waves {
		if len(w.Hosts) == 0 && !w.Rest {
			soak = max(soak, w.Soak)
			continue
		}
		if soak > 0 && slices.ContainsFunc(w.Hosts, goes) {
			if len(w.Canary) == 0 && w.CanarySize.IsZero() {
				w.CanarySize = spec.Count(1)
			}
			w.CanarySoak, soak = max(w.CanarySoak, soak), 0
		}
		all = append(all, w)
	}
	return all
}

// alone returns the wave of the controller's own host, which follows w, the rest.
func (w Wave) alone(own proto.HostName) Wave {
	return Wave{Name: own.String(), Hosts: []proto.HostName{own}, Budget: w.Budget, Windows: w.Windows}
}
