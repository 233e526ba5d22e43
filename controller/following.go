package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
)

// follow makes a revision the one that the channel rolls out. What it has under way or
// did with that revision already is gone on with: then only hosts are new that the
// revision did not have before, such as those that could not be built.
func (r *runner) follow(ctx context.Context, rev proto.Revision, s spec.Spec, toplevels map[proto.HostName]proto.StorePath, signed releases) error {
	r.lock()
	defer r.unlock()
	now := r.rollout
	switch {
	case now.ID != "" && now.Instead == rev && now.Revision != rev:
		r.log.InfoContext(ctx, "revision does not go out: a person went back from it", "revision", rev, "rollout", now.ID)
		return nil
	case now.ID == "" || now.Revision != rev:
		return r.replace(ctx, r.draft(rev, s, targets(toplevels)), signed)
	}
	joining, anew := r.missing(toplevels)
	switch {
	case !anew && len(joining) == 0:
		r.releases, r.gone = signed, nil
		return nil
	case !anew:
		if joined, err := now.Join(r.draft(rev, s, joining)); err == nil {
			if err := r.save(joined); err != nil {
				return err
			}
			r.releases, r.gone = signed, nil
			r.log.InfoContext(ctx, "hosts joined the rollout", "rollout", now.ID, "hosts", hostNames(hostsOf(joining)))
			return nil
		}
	}
	if now.State != rollout.Running && now.State != rollout.Done {
		for _, t := range joining {
			r.fleet.Trouble(t.Host, &proto.Problem{
				Reason: standing(now.State), Revision: rev, Time: r.now(),
				Message: fmt.Sprintf("rollout %s is %s, and nobody joins it", now.ID, now.State),
			})
		}
		r.log.WarnContext(ctx, "hosts cannot join the rollout", "rollout", now.ID, "state", now.State, "hosts", hostNames(hostsOf(joining)))
		return nil
	}
	return r.replace(ctx, r.draft(rev, s, r.notOvertaken(targets(toplevels))), signed)
}

// standing says in a word why nobody joins a rollout in a state.
func standing(s rollout.State) proto.Reason {
	switch s {
	case rollout.Paused:
		return proto.ReasonPaused
	case rollout.Halted:
		return proto.ReasonHalted
	case rollout.Aborted:
		return proto.ReasonAborted
	case rollout.Reverting, rollout.Reverted:
		return proto.ReasonReverted
	case rollout.Running, rollout.Done, rollout.Superseded:
	}
	return proto.ReasonRetrying
}

// missing returns those of the toplevels whose hosts the rollout, which is of the same
// revision, does not have; anew is true if it cannot go on as it is: it has not the same
// toplevels, has hosts that the channel has no more, or what it published is lost. A host
// that does not build this time gets what was built of it before. The caller holds r.mu.
func (r *runner) missing(toplevels map[proto.HostName]proto.StorePath) (joining []rollout.Target, anew bool) {
	for _, t := range targets(toplevels) {
		p, member := r.rollout.Hosts[t.Host]
		v, _ := r.fleet.Host(t.Host)
		lost := p.State != rollout.Waiting && v.Host.Want.Serial < p.Serial
		gone := p.State != rollout.Waiting && p.Release != (proto.Digest{}) // it has what it had before
		switch {
		case !member:
			joining = append(joining, t)
		case lost || p.Toplevel != t.Toplevel && !gone:
			anew = true
		}
	}
	for host, p := range r.rollout.Hosts {
		_, built := toplevels[host]
		lost := !built && !slices.Equal(r.fleet.Claimants(host), []string{r.channel})
		anew = anew || lost && p.State == rollout.Waiting && !r.rollout.State.Ended()
	}
	return joining, anew
}

// notOvertaken returns those of the targets for whose hosts nobody has published since
// the rollout did. The caller holds r.mu.
func (r *runner) notOvertaken(all []rollout.Target) []rollout.Target {
	return slices.DeleteFunc(all, func(t rollout.Target) bool {
		p, member := r.rollout.Hosts[t.Host]
		v, _ := r.fleet.Host(t.Host)
		return member && p.State != rollout.Waiting && v.Host.Want.Serial > p.Serial && v.Host.Want.Toplevel != t.Toplevel
	})
}

// late has those go, in a rollout of their own, who were held until the rollout was
// done, and are not any more; and those go back who were held until the others had. The
// caller holds r.mu.
func (r *runner) late(ctx context.Context) error {
	now := r.rollout
	if now.State != rollout.Done && now.State != rollout.Reverted {
		return nil
	}
	left, fleet := now.Left(), r.observe()
	free := slices.ContainsFunc(left, func(t rollout.Target) bool {
		return now.Hosts[t.Host].Held() == "" && fleet.Hosts[t.Host].Held == ""
	})
	if !free {
		return nil
	}
	if now.State == rollout.Reverted {
		next, err := now.Reopen(rollout.Act{At: r.now().UTC(), Why: now.Entered.Why})
		if err != nil {
			return err
		}
		r.log.InfoContext(ctx, "hosts go back that were held", "rollout", now.ID)
		return r.save(next)
	}
	d := r.draft(now.Revision, restOf(now), left)
	d.Instead = now.Instead
	return r.replace(ctx, d, r.releases)
}

// restOf returns what is known of the spec of a rollout for those who go last.
func restOf(r rollout.Rollout) spec.Spec {
	s := spec.Spec{
		Hosts: map[proto.HostName]spec.Host{},
		Rollout: spec.Rollout{
			SilentAfter: r.SilentAfter, MaxSilent: r.MaxSilent, OnBrokenBudget: r.OnBroken, Approval: r.Approval, Freeze: r.Freeze,
		},
	}
	for host, p := range r.Hosts {
		if p.Hold != "" {
			s.Hosts[host] = spec.Host{Hold: p.Hold}
		}
	}
	if i := slices.IndexFunc(r.Waves, func(w rollout.Wave) bool { return w.Rest }); i >= 0 {
		s.Rollout.Budget, s.Rollout.Windows = r.Waves[i].Budget, r.Waves[i].Windows
	}
	return s
}

// draft returns what a rollout is planned from that begins now. The caller holds r.mu.
func (r *runner) draft(rev proto.Revision, s spec.Spec, targets []rollout.Target) rollout.Draft {
	now := r.now().UTC()
	return rollout.Draft{
		ID: r.newID(rev, now), Channel: r.channel, Revision: rev, Created: now, Seen: r.found(rev), Spec: s, Targets: targets,
		Meant: r.fleet.Claimed(r.channel), Own: r.own, Fleet: r.observe(), Previous: r.rollout, Past: r.past,
	}
}

// found returns when a revision was first seen at the source; zero if that is not known.
func (r *runner) found(rev proto.Revision) time.Time {
	if s := r.fleet.SourceStatus(r.channel); s.Revision == rev {
		return s.Found.UTC()
	}
	return time.Time{}
}

// newID returns an ID that no rollout of the channel has. The caller holds r.mu.
func (r *runner) newID(rev proto.Revision, now time.Time) string {
	for {
		id := rev.Short() + "-" + now.Format("20060102T150405.000")
		if id != r.rollout.ID && !slices.ContainsFunc(r.past, func(o rollout.Rollout) bool { return o.ID == id }) {
			return id
		}
		now = now.Add(time.Millisecond)
	}
}

// replace begins the rollout that d describes in the place of the one that there is,
// which is remembered. The caller holds r.mu.
func (r *runner) replace(ctx context.Context, d rollout.Draft, signed releases) error {
	next, err := rollout.Plan(d)
	if err != nil {
		return err
	}
	return r.succeed(ctx, next, signed)
}

// succeed is replace for a rollout that was planned.
func (r *runner) succeed(ctx context.Context, next rollout.Rollout, signed releases) (err error) {
	past := r.past
	if last := r.rollout; last.ID != "" {
		if !last.State.Ended() {
			if last, err = last.Supersede(rollout.Act{At: next.Created, Why: "by " + next.ID}); err != nil {
				return err
			}
		}
		kept := min(len(past), keptRollouts-1)
		if err := r.saver.Retire(last, past[kept:]...); err != nil {
			return fmt.Errorf("remember rollout %s: %w", last.ID, err)
		}
		past = append([]rollout.Rollout{last}, past[:kept]...)
	}
	if err := r.save(next); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	r.past, r.releases, r.gone = past, signed, nil
	r.log.InfoContext(ctx, "rollout begun", "rollout", next.ID, "revision", next.Revision, "hosts", len(next.Hosts), "waves", len(next.Waves))
	r.show()
	return nil
}

// targets returns toplevels as targets, sorted by host.
func targets(toplevels map[proto.HostName]proto.StorePath) (all []rollout.Target) {
	for host, toplevel := range toplevels {
		all = append(all, rollout.Target{Host: host, Toplevel: toplevel})
	}
	slices.SortFunc(all, func(a, b rollout.Target) int { return a.Host.Compare(b.Host) })
	return all
}

func hostsOf(targets []rollout.Target) (hosts []proto.HostName) {
	for _, t := range targets {
		hosts = append(hosts, t.Host)
	}
	return hosts
}
