package rollout

import (
	"errors"
	"fmt"
	"slices"

	"kedge/internal/spec"
	"kedge/proto"
)

var errTooLate = errors.New("its last wave has started")

// Join returns r with those targets of d that it does not have, such as hosts of
// its revision that could not be built before. Each goes with its wave, if that has not
// started; else with another such wave, in its place among those that have not, and
// with all its limits; and the controller's own host after the rest. Whoever comes when the
// rest has started, or when r is over, needs a rollout of their own; that is an error.
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
	var joining []proto.HostName
	for _, t := range d.Targets {
		if t.Host != next.Own {
			joining = append(joining, t.Host)
		}
	}
	for _, w := range waves(d.Spec, union(joining, nil), d.unbuilt(next)) {
		if len(w.Hosts) > 0 {
			next.join(w, d.Spec)
		}
	}
	return next, nil
}

// join adds the hosts of w, one of the waves that s makes, to the same wave of r, whose waves
// are its own; or w itself, before those that s has after it. The rest has not started.
func (r *Rollout) join(w Wave, s spec.Spec) {
	order := func(w Wave) int {
		if w.Rest {
			return len(s.Rollout.Waves)
		}
		return slices.IndexFunc(s.Rollout.Waves, func(sw spec.Wave) bool { return sw.Name == w.Name })
	}
	i := slices.IndexFunc(r.Waves, func(o Wave) bool { return o.Started.IsZero() && order(o) >= order(w) })
	if same := &r.Waves[i]; order(*same) == order(w) {
		same.Hosts, same.Canary = union(same.Hosts, w.Hosts), union(same.Canary, w.Canary)
		return
	}
	r.Waves = slices.Insert(r.Waves, i, w)
}

// union returns whoever is one of a or b, sorted.
func union(a, b []proto.HostName) []proto.HostName {
	all := slices.Concat(a, b)
	slices.SortFunc(all, proto.HostName.Compare)
	return slices.Compact(all)
}
