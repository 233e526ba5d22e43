package rollout

import (
	"fmt"

	"kedge/internal/spec"
	"kedge/proto"
)

// broken returns, in words, the first budget that is broken, of any wave that was
// started; empty if none is.
func (v view) broken() string {
	for _, w := range v.Waves {
		if w.Started.IsZero() {
			break
		}
		if why := v.count(w.Canary).breach(canaryBudget(w.Budget)); why != "" {
			return fmt.Sprintf("canary of wave %s: %s", w.Name, why)
		}
		if why := v.count(w.Hosts).breach(w.Budget); why != "" {
			return fmt.Sprintf("wave %s: %s", w.Name, why)
		}
	}
	return ""
}

// canaryBudget returns b as it bounds a canary: somebody has to succeed.
func canaryBudget(b spec.Budget) spec.Budget {
	if b.Success.CeilOf(1) == 0 {
		b.Success = spec.Count(1)
	}
	return b
}

// A tally is what became of some hosts.
type tally struct {
	hosts, failed, silent int
	excused               int // nothing came of them that they could help
}

func (v view) count(hosts []proto.HostName) tally {
	t := tally{hosts: len(hosts)}
	for _, h := range hosts {
		p := v.Hosts[h]
		switch p.charge() {
		case failure:
			t.failed++
		case silence:
			t.silent++
		case none:
			if p.State != Published && v.through(h) {
				t.excused++
			}
		case success:
		}
	}
	return t
}

// breach returns what in t breaks b, in words; empty if nothing does. As many as
// have to succeed are asked for of those that can.
func (t tally) breach(b spec.Budget) string {
	can := t.hosts - t.excused
	switch bad, must := t.failed+t.silent, min(b.Success.CeilOf(can), can); {
	case !b.Failed.IsZero() && t.failed > b.Failed.Of(t.hosts):
		return fmt.Sprintf("%d of %d hosts failed, %d may", t.failed, t.hosts, b.Failed.Of(t.hosts))
	case !b.Silent.IsZero() && t.silent > b.Silent.Of(t.hosts):
		return fmt.Sprintf("%d of %d hosts are silent, %d may be", t.silent, t.hosts, b.Silent.Of(t.hosts))
	case can-bad < must:
		return fmt.Sprintf("%d of %d hosts failed or are silent, %d must succeed", bad, can, must)
	}
	return ""
}
