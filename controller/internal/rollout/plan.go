package rollout

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"kedge/internal/spec"
	"kedge/proto"
)

// A Target says which toplevel a host shall get.
type Target struct {
	Host     proto.HostName
	Toplevel proto.StorePath
}

// A Draft is what a rollout is planned from.
type Draft struct {
	ID       string // required
	Channel  string
	Revision proto.Revision
	Instead  proto.Revision // see [Rollout]
	Created  time.Time      // required
	Seen     time.Time      // see [Rollout]
	Spec     spec.Spec
	Targets  []Target       // of two for one host the last one counts
	Own      proto.HostName // the controller's own host, if it is a target; zero if it has none
	Fleet    Fleet          // as it is now: what hosts go back to
	Previous Rollout        // whose place this one takes; zero for none
	Past     []Rollout      // those before it, the newest first; it may lack hosts that they had
}

// Plan returns the rollout of a revision as its spec wants it, with everything of
// the spec in it that it needs.
func Plan(d Draft) (Rollout, error) {
	s := d.Spec.Rollout
	r := Rollout{
		ID: d.ID, Channel: d.Channel, Revision: d.Revision, Instead: d.Instead, Created: d.Created, Seen: d.Seen, Latency: d.Previous.Latency, State: Running,
		Approval: s.Approval, Freeze: s.Freeze, SilentAfter: s.SilentAfter, MaxSilent: s.MaxSilent, OnBroken: s.OnBrokenBudget,
		Hosts: make(map[proto.HostName]Progress, len(d.Targets)),
	}
	r.add(d)
	if _, ok := r.Hosts[d.Own]; ok {
		r.Own = d.Own
	}
	r.Waves = waves(d.Spec, r.Own, slices.SortedFunc(maps.Keys(r.Hosts), proto.HostName.Compare))
	if err := r.validate(); err != nil {
		return Rollout{}, fmt.Errorf("plan rollout %s: %w", d.ID, err)
	}
	return r, nil
}

// add makes d's targets hosts of r, whose hosts are its own.
func (r *Rollout) add(d Draft) {
	for _, t := range d.Targets {
		h := d.Fleet.Hosts[t.Host]
		before := Progress{Before: d.before(t.Host, h)}.back(h)
		r.Hosts[t.Host] = Progress{
			Toplevel: t.Toplevel, State: Waiting, Hold: d.Spec.Hosts[t.Host].Hold, Since: d.Created,
			Heard:   d.heardOf(t.Host),
			Before:  before,
			Refused: d.refused(t),
			Returns: d.returns(t),
			Fresh:   d.Previous.fresh(t.Host, before),
		}
	}
}

// before returns what h had before the last rollout that had it. Where the rollout before
// has it not, that is the newest that has for it what it was assigned last: whoever gave it
// something else since, nobody knows whether what it had before that will do.
func (d Draft) before(name proto.HostName, h Host) Assigned {
	if p, had := d.Previous.Hosts[name]; had {
		return p.Before
	}
	for i := range d.Past {
		if p, had := d.Past[i].Hosts[name]; had && p.Toplevel == h.Toplevel {
			return p.Before
		}
	}
	return Assigned{}
}

// refused returns why the rollout before could publish nothing for a target that it had,
// too: only another revision changes that.
func (d Draft) refused(t Target) string {
	if p := d.Previous.Hosts[t.Host]; d.Previous.Revision == d.Revision && p.Toplevel == t.Toplevel {
		return p.Refused
	}
	return ""
}

// returns reports whether a target is what its host had before the rollout before, as
// after a revert in git, and had soaked. Who goes back and forth soaks again.
func (d Draft) returns(t Target) bool {
	p := d.Previous.Hosts[t.Host]
	return !p.Returns && p.Fresh.IsZero() && p.moved() && p.Before.Toplevel == t.Toplevel
}

// fresh returns since when a host has what works there, if that soaks still.
func (r Rollout) fresh(name proto.HostName, works Assigned) time.Time {
	p := r.Hosts[name]
	switch {
	case p.State == Waiting, p.Toplevel != works.Toplevel:
		return p.Fresh
	case slices.ContainsFunc(r.Waves, func(w Wave) bool { return !w.Ended.IsZero() && w.has(name) }):
		return time.Time{}
	case p.moved():
		return p.Since
	}
	return p.Fresh
}

// waves returns the waves that s makes of hosts, which are sorted: its own, without
// those that select nobody, the rest, and the controller's own host.
func waves(s spec.Spec, own proto.HostName, hosts []proto.HostName) (all []Wave) {
	others := slices.DeleteFunc(slices.Clone(hosts), func(h proto.HostName) bool { return h == own })
	left := slices.Clone(others)
	for _, sw := range s.Rollout.Waves {
		var members []proto.HostName
		left = slices.DeleteFunc(left, func(h proto.HostName) bool {
			if !s.Match(sw.Hosts, h) {
				return false
			}
			members = append(members, h)
			return true
		})
		if len(members) > 0 {
			all = append(all, wave(s, sw, members))
		}
	}
	rest := Wave{Name: spec.RestWave, Rest: true, Hosts: left, Budget: s.Rollout.Budget, Windows: s.Rollout.Windows}
	if len(s.Rollout.Waves) == 0 {
		rest.Name = spec.AllWave
	}
	all = append(all, rest)
	if !own.IsZero() {
		all = append(all, rest.alone(own))
	}
	return all
}

// wave returns the wave of members that sw describes.
func wave(s spec.Spec, sw spec.Wave, members []proto.HostName) Wave {
	w := Wave{
		Name: sw.Name, Hosts: members, CanarySize: sw.Canary.Size, CanarySoak: sw.Canary.Soak,
		MaxInFlight: sw.MaxInFlight, Soak: sw.Soak, Approval: sw.Approval, Budget: s.Rollout.Budget, Windows: s.Rollout.Windows,
	}
	for _, h := range members {
		if s.Match(sw.Canary.Hosts, h) {
			w.Canary = append(w.Canary, h)
		}
	}
	if sw.Budget != nil {
		w.Budget = *sw.Budget
	}
	if sw.Windows != nil {
		w.Windows = *sw.Windows
	}
	return w
}

var errTooLate = errors.New("its last wave has started")

// Join returns r with those targets of d that it does not have, such as hosts of
// its revision that could not be built before. They go with the rest, and the
// controller's own host after it. Whoever comes when the rest has started, or when r
// is over, needs a rollout of their own; that is an error.
func (r Rollout) Join(d Draft) (Rollout, error) {
	d.Targets = slices.DeleteFunc(slices.Clone(d.Targets), func(t Target) bool { _, has := r.Hosts[t.Host]; return has })
	if len(d.Targets) == 0 {
		return r, nil
	}
	rest := slices.IndexFunc(r.Waves, func(w Wave) bool { return w.Rest && w.Started.IsZero() })
	if r.State.Ended() || r.State == Reverting || rest < 0 {
		return r, fmt.Errorf("join rollout %s: %w", r.ID, errTooLate)
	}
	next := r.clone()
	next.add(d)
	if _, ok := next.Hosts[d.Own]; ok && next.Own.IsZero() {
		next.Own = d.Own
		next.Waves = append(next.Waves, next.Waves[rest].alone(d.Own))
	}
	next.Waves[rest].Hosts = slices.Clone(next.Waves[rest].Hosts)
	for _, t := range d.Targets {
		if t.Host != next.Own {
			next.Waves[rest].Hosts = append(next.Waves[rest].Hosts, t.Host)
		}
	}
	slices.SortFunc(next.Waves[rest].Hosts, proto.HostName.Compare)
	next.Waves[rest].Hosts = slices.Compact(next.Waves[rest].Hosts)
	return next, nil
}

// alone returns the wave of the controller's own host, which follows w, the rest.
func (w Wave) alone(own proto.HostName) Wave {
	w.Name, w.Rest, w.Hosts = own.String(), false, []proto.HostName{own}
	return w
}

// unsent returns who waits, sorted, without the controller's own host.
func (r Rollout) unsent() (hosts []proto.HostName) {
	for h, p := range r.Hosts {
		if p.State == Waiting && h != r.Own {
			hosts = append(hosts, h)
		}
	}
	slices.SortFunc(hosts, proto.HostName.Compare)
	return hosts
}

// Left returns the targets of hosts that r never published to, in the order of
// their names: once it has ended, those that were held, and all whom it had not
// come to when a person ended it.
func (r Rollout) Left() []Target {
	var left []Target
	for _, h := range slices.SortedFunc(maps.Keys(r.Hosts), proto.HostName.Compare) {
		if p := r.Hosts[h]; p.State == Waiting && p.After == 0 {
			left = append(left, Target{Host: h, Toplevel: p.Toplevel})
		}
	}
	return left
}

// clone returns r with waves and hosts of its own.
func (r Rollout) clone() Rollout {
	r.Waves, r.Hosts = slices.Clone(r.Waves), maps.Clone(r.Hosts)
	return r
}
