package rollout

import (
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
	Targets  []Target         // of two for one host the last one counts
	Meant    []proto.HostName // whom the revision is for: those without a target could not be built
	Own      proto.HostName   // the controller's own host, if it is a target; zero if it has none
	Fleet    Fleet            // as it is now: what hosts go back to
	Previous Rollout          // whose place this one takes; zero for none
	Past     []Rollout        // those before it, the newest first; it may lack hosts that they had
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
	if d.Previous.Revision == d.Revision {
		r.Approved = d.Previous.Approved
	}
	r.Waves = view{r, d.Fleet, d.Created}.stoodIn(waves(d.Spec, r.unsent(), d.unbuilt(r)))
	if !r.Own.IsZero() {
		r.Waves = append(r.Waves, r.Waves[len(r.Waves)-1].alone(r.Own))
	}
	if err := r.validate(); err != nil {
		return Rollout{}, fmt.Errorf("plan rollout %s: %w", d.ID, err)
	}
	return r, nil
}

// add makes d's targets hosts of r, whose hosts are its own.
func (r *Rollout) add(d Draft) {
	for _, t := range d.Targets {
		h := d.Fleet.Hosts[t.Host]
		after := d.after(t)
		before := Progress{Before: d.before(t.Host, h), After: after}.back(h)
		r.Hosts[t.Host] = Progress{
			Toplevel: t.Toplevel, State: Waiting, After: after, Hold: d.Spec.Hosts[t.Host].Hold, Since: d.Created,
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

// after returns the serial of the assignment of a target that no longer counts, as its host
// was to have another try in the rollout before, and waits for that still.
func (d Draft) after(t Target) proto.Serial {
	if p := d.Previous.Hosts[t.Host]; d.Previous.Revision == d.Revision && p.Toplevel == t.Toplevel && p.State == Waiting && p.From.IsZero() {
		return p.After
	}
	return 0
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

// Left returns the targets of hosts that wait, in the order of their names: once r has
// ended, those that were held, and all whom it had not come to when a person ended it.
// Where it is reverted they are those that have not gone back yet.
func (r Rollout) Left() []Target {
	var left []Target
	for _, h := range slices.SortedFunc(maps.Keys(r.Hosts), proto.HostName.Compare) {
		if p := r.Hosts[h]; p.State == Waiting && p.From.IsZero() == (r.State != Reverted) {
			left = append(left, Target{Host: h, Toplevel: p.Toplevel})
		}
	}
	return left
}

// unbuilt returns whom d is meant for and r does not have, without the controller's own
// host.
func (d Draft) unbuilt(r Rollout) []proto.HostName {
	return slices.DeleteFunc(slices.Clone(d.Meant), func(h proto.HostName) bool { _, has := r.Hosts[h]; return has || h == d.Own })
}

// clone returns r with waves and hosts of its own.
func (r Rollout) clone() Rollout {
	r.Waves, r.Hosts = slices.Clone(r.Waves), maps.Clone(r.Hosts)
	return r
}
