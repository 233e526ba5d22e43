package spec

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"kedge/proto"
)

// check reports what is wrong with s as a whole.
func (r *reader) check(s Spec, hosts map[proto.HostName]bool) {
	f := newFleet(s, hosts)
	for _, name := range slices.Sorted(maps.Keys(s.Sites)) {
		f.find(r, fmt.Sprintf("%s.sites.%s.hosts", root, quoted(name)), s.Sites[name].Hosts)
	}
	r.checkWindows(rolloutPath+".windows", s.Rollout.Windows)
	names := map[string]int{}
	for i, w := range s.Rollout.Waves {
		path := fmt.Sprintf("%s.waves[%d]", rolloutPath, i)
		if other, taken := names[w.Name]; taken && w.Name != "" {
			r.problem(path+".name", "waves[%d] is called %q, too", other, w.Name)
		} else {
			names[w.Name] = i
		}
		if w.Name == RestWave {
			r.problem(path+".name", "must not be %q, as the last wave is called, of the hosts that no other wave has", RestWave)
		}
		if w.Windows != nil {
			r.checkWindows(path+".windows", *w.Windows)
		}
		r.checkMembers(path, w, f)
	}
	last := RestWave
	if len(s.Rollout.Waves) == 0 {
		last = AllWave
	}
	r.checkSuccess(rolloutPath, s.Rollout.Budget, last, len(f.take(f.hosts)))
}

// checkMembers reports a wave that is not what its hosts can be. They are then
// taken from f.
func (r *reader) checkMembers(path string, w Wave, f *fleet) {
	found := f.find(r, path+".hosts", w.Hosts)
	members := f.take(found)
	if len(found) > 0 && len(members) == 0 {
		r.problem(path+".hosts", "all of the hosts that it selects are in earlier waves")
	}
	c := w.Canary
	if !c.Size.IsZero() && !c.Hosts.IsZero() {
		r.problem(path+".canary", "must have size or hosts, not both")
	}
	if c.IsZero() && c.Soak > 0 {
		r.problem(path+".canary", "must have size or hosts, for there is no canary without")
	}
	if len(members) == 0 {
		return
	}
	if size := c.Size.CeilOf(len(members)); size > len(members) {
		r.problem(path+".canary.size", "must not be more than the wave's hosts, of which there are %d, got %d", len(members), size)
	}
	canaries := f.find(r, path+".canary.hosts", c.Hosts)
	if len(canaries) > 0 && !slices.ContainsFunc(members, func(h proto.HostName) bool { return slices.Contains(canaries, h) }) {
		r.problem(path+".canary.hosts", "none of the hosts that it selects is one of the wave's")
	}
	if w.Budget != nil {
		r.checkSuccess(path, *w.Budget, w.Name, len(members))
	} else {
		r.checkSuccess(rolloutPath, f.spec.Rollout.Budget, w.Name, len(members))
	}
}

// checkSuccess reports an amount that a wave can never come to.
func (r *reader) checkSuccess(path string, b Budget, wave string, members int) {
	if n := b.Success.CeilOf(members); members > 0 && n > members {
		r.problem(path+".budget.success", "can never be reached: %d hosts of wave %q, which has %d", n, wave, members)
	}
}

// A fleet is the hosts that there are, with their tags, and which of them no wave
// has taken yet.
type fleet struct {
	spec  Spec
	hosts []proto.HostName // sorted
	taken map[proto.HostName]bool
	tags  map[string]bool // that some host has
}

// newFleet returns hosts, and those that s names by mistake, of which the reader
// has told: what else is said about them is no other mistake.
func newFleet(s Spec, hosts map[proto.HostName]bool) *fleet {
	all := maps.Clone(hosts)
	f := &fleet{spec: s, taken: map[proto.HostName]bool{}, tags: map[string]bool{}}
	for h, host := range s.Hosts {
		all[h] = true
		for _, tag := range host.Tags {
			f.tags[tag] = true
		}
	}
	f.hosts = slices.SortedFunc(maps.Keys(all), proto.HostName.Compare)
	return f
}

// find returns the hosts that sel selects, and reports tags and names in it that
// are nobody's. The zero value is no mistake of its own.
func (f *fleet) find(r *reader, path string, sel Selector) []proto.HostName {
	if sel.IsZero() {
		return nil
	}
	known := true
	sel.leaves(func(n node) {
		switch {
		case n.op == opTag && !f.tags[n.word]:
			r.problem(path, "no host has the tag %q%s", n.word, didYouMean(n.word, maps.Keys(f.tags)))
			known = false
		case n.op == opName && !slices.ContainsFunc(f.hosts, func(h proto.HostName) bool { return n.match(h.String(), nil) }):
			r.problem(path, "no host is called %q%s", n.word, didYouMean(n.word, texts(f.hosts)))
			known = false
		}
	})
	found := slices.DeleteFunc(slices.Clone(f.hosts), func(h proto.HostName) bool { return !f.spec.Match(sel, h) })
	if len(found) == 0 && known {
		r.problem(path, "%q selects no host", sel)
	}
	return found
}

// take returns those of hosts that no wave has had before.
func (f *fleet) take(hosts []proto.HostName) (members []proto.HostName) {
	for _, h := range hosts {
		if !f.taken[h] {
			f.taken[h] = true
			members = append(members, h)
		}
	}
	return members
}

// texts returns ts as texts.
func texts[T fmt.Stringer](ts []T) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, t := range ts {
			if !yield(t.String()) {
				return
			}
		}
	}
}
