package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
	"kedge/proto/bus"
)

// act does what a person asks for, and leaves a trace of it. It is durable when it is
// answered.
func (o *rollouts) act(ctx context.Context, c bus.Caller, req proto.RolloutActRequest) (proto.RolloutActReply, error) {
	if n := len(req.Reason); n > proto.MaxActReason {
		return proto.RolloutActReply{}, bus.Errorf(bus.CodeBadRequest, "reason: must have at most %d bytes, has %d", proto.MaxActReason, n)
	}
	if req.Promotes != nil && req.Act != proto.RolloutActPromote {
		return proto.RolloutActReply{}, bus.Errorf(bus.CodeBadRequest, "promotes: is for promote alone")
	}
	if req.To != "" && req.Act != proto.RolloutActRevert {
		return proto.RolloutActReply{}, bus.Errorf(bus.CodeBadRequest, "to: is for revert alone")
	}
	switch req.Act {
	case proto.RolloutActHold, proto.RolloutActRelease, proto.RolloutActFreeze, proto.RolloutActThaw:
		return o.holdBack(ctx, c, req)
	case proto.RolloutActPause, proto.RolloutActResume, proto.RolloutActPromote, proto.RolloutActAbort, proto.RolloutActRetry, proto.RolloutActRevert:
	default:
		return proto.RolloutActReply{}, bus.Errorf(bus.CodeBadRequest, "act: must be set")
	}
	r, known, err := o.find(req.Rollout)
	if err != nil {
		return proto.RolloutActReply{}, err
	}
	if now := r.current(); now.ID != known.ID {
		return proto.RolloutActReply{}, bus.Errorf(bus.CodeRefused, "rollout %s has ended: it is %s; that of channel %s is %s now", known.ID, known.State, r.channel, now.ID)
	}
	return r.act(ctx, c, req, known.ID)
}

// act does what a person asks for with the rollout that has an ID, unless another one
// took its place meanwhile.
func (r *runner) act(ctx context.Context, c bus.Caller, req proto.RolloutActRequest, id string) (proto.RolloutActReply, error) {
	r.lock()
	defer r.unlock()
	if r.rollout.ID != id {
		return proto.RolloutActReply{}, bus.Errorf(bus.CodeConflict, "rollout %s took the place of %s", r.rollout.ID, id)
	}
	before := r.rollout
	if on, err := r.onItsWayTo(req.To); err != nil {
		return proto.RolloutActReply{}, err
	} else if on || r.isSoAlready(req) {
		return r.stands(true)
	}
	if err := r.change(ctx, req, rollout.Act{By: c.Name, At: r.now().UTC(), Why: req.Reason}); err != nil {
		return proto.RolloutActReply{}, err
	}
	r.audit(ctx, proto.AuditEntry{
		Time: r.now().UTC(), Actor: c.Name, Act: req.Act.Audit(), Revision: r.rollout.Revision, Message: traceOf(before.ID, req),
	})
	r.log.InfoContext(ctx, "a person acted on the rollout", "act", req.Act, "rollout", r.rollout.ID, "by", c.Name, "reason", req.Reason, "was", before.State, "is", r.rollout.State)
	return r.stands(false)
}

// stands answers how the rollout stands after an act, durably; again says that it stood so
// before, be it by a round that is under way. The caller holds r.mu.
func (r *runner) stands(again bool) (proto.RolloutActReply, error) {
	if r.unsaved {
		if err := r.save(r.rollout); err != nil {
			return proto.RolloutActReply{}, err
		}
	}
	r.show()
	view := r.fleet.Rollout(r.channel).Rollout
	return proto.RolloutActReply{Rollout: &view, Again: again}, nil
}

// isSoAlready reports whether the rollout is in the state that a request asks for: whoever
// asks again, because the answer was lost, is not refused, and whoever was first stays named.
// The caller holds r.mu.
func (r *runner) isSoAlready(req proto.RolloutActRequest) bool {
	is := r.rollout.State
	switch req.Act {
	case proto.RolloutActPause:
		return is == rollout.Paused
	case proto.RolloutActResume:
		return is == rollout.Running
	case proto.RolloutActAbort:
		return is == rollout.Aborted
	case proto.RolloutActRevert:
		return req.To == "" && (is == rollout.Reverting || is == rollout.Reverted)
	case proto.RolloutActPromote, proto.RolloutActRetry, // which are about what waits, or failed, now
		proto.RolloutActHold, proto.RolloutActRelease, proto.RolloutActFreeze, proto.RolloutActThaw: // which concern no rollout
	}
	return false
}

// traceOf is what the audit says of an act on a rollout.
func traceOf(id string, req proto.RolloutActRequest) string {
	if req.To != "" {
		id += " to " + req.To
	}
	if req.Reason != "" {
		id += ": " + req.Reason
	}
	return id
}

// change makes the rollout durably what it is after an act. The caller holds r.mu.
func (r *runner) change(ctx context.Context, req proto.RolloutActRequest, a rollout.Act) error {
	if req.To != "" {
		return r.goBackTo(ctx, req.To, a)
	}
	next, err := r.rollout.Recall(r.observe(), r.now()), error(nil)
	switch req.Act {
	case proto.RolloutActPause:
		next, err = next.Pause(a)
	case proto.RolloutActResume:
		next, err = next.Resume(a)
	case proto.RolloutActPromote:
		next, err = next.Promote(r.observe(), req.Promotes, a)
	case proto.RolloutActAbort:
		next, err = next.Abort(a)
	case proto.RolloutActRetry:
		next, err = next.Retry(a)
	case proto.RolloutActRevert:
		next, err = next.Revert(a)
	case proto.RolloutActHold, proto.RolloutActRelease, proto.RolloutActFreeze, proto.RolloutActThaw: // concern no rollout
	}
	if errors.Is(err, rollout.ErrOther) {
		return bus.Errorf(bus.CodeConflict, "%v; see kedge rollout show", err)
	}
	if err != nil {
		return bus.Errorf(bus.CodeRefused, "%v; %s", err, advice(r.rollout.State))
	}
	if err := r.save(next); err != nil {
		return err
	}
	return nil
}

// advice says what can be done to a rollout in a state.
func advice(s rollout.State) string {
	switch s {
	case rollout.Running:
		return "it can be paused, aborted and reverted, and promoted while it soaks or waits for an approval"
	case rollout.Paused:
		return "it can be resumed, aborted and reverted"
	case rollout.Halted:
		return "it can be retried, aborted and reverted; or push what mends it"
	case rollout.Reverting:
		return "it can be aborted: then hosts keep what they have by then"
	case rollout.Done:
		return "it can be reverted"
	case rollout.Aborted:
		return "it can be reverted; the next revision begins another one"
	case rollout.Reverted, rollout.Superseded:
		return "it has ended; the next revision begins another one, and kedge rollout revert --to goes back to an earlier one"
	}
	return ""
}

// goBackTo has the channel's hosts go back to what an earlier rollout gave them, which
// is named by its ID, or by its revision. The caller holds r.mu.
func (r *runner) goBackTo(ctx context.Context, name string, a rollout.Act) error {
	rev, former, err := r.formerly(name)
	if err != nil {
		return err
	}
	now := r.rollout
	s := restOf(now)
	s.Rollout.Approval, s.Rollout.Freeze = false, ""
	s.Rollout.MaxSilent, s.Rollout.Windows = spec.Amount{}, spec.Windows{}
	for host, toplevel := range former {
		v, _ := r.fleet.Host(host)
		others := slices.ContainsFunc(r.fleet.Claimants(host), func(channel string) bool { return channel != r.channel })
		if others || v.Host.Want.Toplevel == toplevel {
			delete(former, host) // it follows another channel, or is there already
		}
	}
	if len(former) == 0 {
		return bus.Errorf(bus.CodeRefused, "every host has what %s gave it already", name)
	}
	d := r.draft(rev, s, targets(former))
	if d.Instead = now.Instead; d.Instead.IsZero() {
		d.Instead = now.Revision
	}
	back, err := rollout.Plan(d)
	if err != nil {
		return err
	}
	back.Entered = a
	for i := range back.Waves {
		back.Waves[i].MaxInFlight = strictest(now.Waves)
	}
	return r.succeed(ctx, back, nil)
}

// onItsWayTo reports whether the rollout goes back already to what name means, as
// [runner.goBackTo] has it, which is then done: another one would forget who went with this
// one, and how that ended. The caller holds r.mu.
func (r *runner) onItsWayTo(name string) (bool, error) {
	now := r.rollout
	if name == "" || now.Instead.IsZero() || now.State.Ended() || now.State == rollout.Reverting {
		return false, nil
	}
	rev, _, err := r.formerly(name)
	if err == nil && rev == now.Revision && now.State != rollout.Running {
		err = bus.Errorf(bus.CodeRefused, "rollout %s goes back to that already, and is %s; %s", now.ID, now.State, advice(now.State))
	}
	return rev == now.Revision, err
}

// minNamed is how much of a revision names it at least.
const minNamed = 7

// formerly returns the revision of the newest earlier rollout that is named by its ID,
// or by its revision, and what the rollouts of that revision had for their hosts. The
// caller holds r.mu.
func (r *runner) formerly(name string) (rev proto.Revision, former map[proto.HostName]proto.StorePath, err error) {
	i := slices.IndexFunc(r.past, func(o rollout.Rollout) bool {
		return o.ID == name || len(name) >= minNamed && len(o.Revision.String()) >= len(name) && o.Revision.String()[:len(name)] == name
	})
	if i < 0 {
		return rev, nil, bus.Errorf(bus.CodeNotFound, "no earlier rollout of channel %s is called %q, or has a revision that begins so; see kedge rollout list", r.channel, name)
	}
	rev, former = r.past[i].Revision, map[proto.HostName]proto.StorePath{}
	for _, o := range r.past[i:] {
		if o.Revision != rev {
			continue
		}
		for host, p := range o.Hosts {
			if _, newer := former[host]; newer || !p.Release.IsZero() { // it went back from there
				continue
			}
			former[host] = p.Toplevel
			if p.Refused != "" {
				former[host] = proto.StorePath{} // nor can it be had from an older one
			}
		}
	}
	maps.DeleteFunc(former, func(_ proto.HostName, toplevel proto.StorePath) bool { return toplevel.IsZero() })
	return rev, former, nil
}

// strictest returns the smallest of the waves' limits; zero if none has one.
func strictest(waves []rollout.Wave) (least spec.Amount) {
	for _, w := range waves {
		if limit := w.MaxInFlight; !limit.IsZero() && (least.IsZero() || limit.Of(len(w.Hosts)) < least.Of(len(w.Hosts))) {
			least = limit
		}
	}
	return least
}

// holdBack changes what people keep from going out.
func (o *rollouts) holdBack(ctx context.Context, c bus.Caller, req proto.RolloutActRequest) (proto.RolloutActReply, error) {
	if err := o.checkHold(req); err != nil {
		return proto.RolloutActReply{}, err
	}
	if o.isFree(req) {
		return proto.RolloutActReply{Holds: o.holds.list(""), Again: true}, o.holds.settle()
	}
	if err := o.checkHeld(req); err != nil {
		return proto.RolloutActReply{}, err
	}
	h := hold{Reason: req.Reason, By: c.Name, Since: o.now().UTC()}
	if err := o.holds.change(func(b *heldBack) { b.apply(req, h) }); err != nil {
		return proto.RolloutActReply{}, fmt.Errorf("save what is held: %w", err)
	}
	for _, r := range o.runners {
		r.disturb()
	}
	e := proto.AuditEntry{Time: h.Since, Actor: c.Name, Act: req.Act.Audit(), Message: req.Reason}
	switch {
	case len(req.Hosts) == 1:
		e.Host = req.Hosts[0]
	case len(req.Hosts) > 1:
		e.Message = hostNames(req.Hosts) + ": " + req.Reason
	case req.Rollout != "":
		e.Message = "channel " + req.Rollout + ": " + req.Reason
	}
	o.audit(ctx, e)
	o.log.InfoContext(ctx, "a person acted on what is held", "act", req.Act, "channel", req.Rollout, "hosts", hostNames(req.Hosts), "by", c.Name, "reason", req.Reason)
	o.fleet.Stir() // the runners look again
	return proto.RolloutActReply{Holds: o.holds.list("")}, nil
}

// disturb has a round that is under way decide anew who is published for, and returns
// when it does.
func (r *runner) disturb() {
	r.lock()
	defer r.unlock()
}

// checkHold reports what is wrong with a request to hold something back, or not to. What is
// held back can be let go also where it is not known any more.
func (o *rollouts) checkHold(req proto.RolloutActRequest) error {
	onHosts := req.Act == proto.RolloutActHold || req.Act == proto.RolloutActRelease
	begins := req.Act == proto.RolloutActHold || req.Act == proto.RolloutActFreeze
	switch {
	case begins && req.Reason == "":
		return bus.Errorf(bus.CodeBadRequest, "reason: must be set: others will ask why")
	case onHosts && len(req.Hosts) == 0:
		return bus.Errorf(bus.CodeBadRequest, "hosts: must name at least one")
	case !onHosts && req.Rollout != "" && o.runners[req.Rollout] == nil && (begins || !o.holds.frozen(req.Rollout)):
		return unknownChannel(req.Rollout)
	}
	for _, host := range req.Hosts {
		if _, known := o.fleet.Host(host); !known && (begins || o.holds.host(host) == nil) {
			return unknownHost(host)
		}
	}
	return nil
}

// isFree reports whether an act is to let go what nothing holds back, neither a person nor,
// as its current rollout has it, the flake: then there is nothing to do.
func (o *rollouts) isFree(req proto.RolloutActRequest) bool {
	switch req.Act {
	case proto.RolloutActRelease:
		return !slices.ContainsFunc(req.Hosts, func(host proto.HostName) bool {
			return o.holds.host(host) != nil || slices.ContainsFunc(o.channels(), func(channel string) bool {
				return o.runners[channel].current().Hosts[host].Hold != ""
			})
		})
	case proto.RolloutActThaw:
		return !o.holds.frozen(req.Rollout) && !slices.ContainsFunc(o.channels(), func(channel string) bool {
			meant := req.Rollout == "" || req.Rollout == channel
			return meant && (o.holds.freeze(channel) != nil || o.runners[channel].current().Freeze != "")
		})
	case proto.RolloutActHold, proto.RolloutActFreeze, proto.RolloutActPause, proto.RolloutActResume,
		proto.RolloutActPromote, proto.RolloutActAbort, proto.RolloutActRetry, proto.RolloutActRevert: // let nothing go
	}
	return false
}

// checkHeld reports what a person cannot let go, because no person holds it back: not all
// of it, or something else does.
func (o *rollouts) checkHeld(req proto.RolloutActRequest) error {
	if names := o.holds.missing(req.Hosts); req.Act == proto.RolloutActRelease && names != "" {
		return bus.Errorf(bus.CodeRefused, "not held by anybody: %s; one that its flake holds (kedge.hosts.NAME.hold) is released there", names)
	}
	if req.Act == proto.RolloutActThaw && !o.holds.frozen(req.Rollout) {
		return bus.Errorf(bus.CodeRefused, "nothing of that is frozen by anybody; see kedge rollout list; what the flake freezes (kedge.rollout.freeze) is thawed there")
	}
	return nil
}
