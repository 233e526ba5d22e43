package rollout

import (
	"errors"
	"fmt"
	"slices"

	"kedge/proto"
)

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
