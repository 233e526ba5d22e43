package spec

import (
	"slices"

	"kedge/proto"
)

// Members are the hosts that go with a wave.
type Members struct {
	Wave  Wave
	Hosts []proto.HostName // sorted
}

// Members returns the waves of a rollout to hosts, in order, with those that no
// spec writes down.
func (s Spec) Members(hosts []proto.HostName) []Members {
	left := slices.SortedFunc(slices.Values(hosts), proto.HostName.Compare)
	var waves []Members
	for _, w := range s.Rollout.Waves {
		m := Members{Wave: w}
		left = slices.DeleteFunc(left, func(h proto.HostName) bool {
			selected := s.Match(w.Hosts, h)
			if selected {
				m.Hosts = append(m.Hosts, h)
			}
			return selected
		})
		waves = append(waves, m)
	}
	name := RestWave
	if len(waves) == 0 {
		name = AllWave
	}
	if len(left) > 0 {
		waves = append(waves, Members{Wave: Wave{Name: name, Hosts: All()}, Hosts: left})
	}
	return waves
}

// Canaries returns those of m that go first because a selector says so. Which ones
// go first by their number differs from revision to revision.
func (s Spec) Canaries(m Members) (hosts []proto.HostName) {
	for _, h := range m.Hosts {
		if s.Match(m.Wave.Canary.Hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}
