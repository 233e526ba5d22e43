package controller

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/controller/internal/rollout"
	"kedge/proto"
	"kedge/proto/bus"
)

// rollouts are the rollouts of all channels.
type rollouts struct {
	runners map[string]*runner // by channel
	holds   *holds
	fleet   *Fleet
	audit   func(ctx context.Context, e proto.AuditEntry)
	now     func() time.Time
	log     *slog.Logger
}

func (o *rollouts) register(a *api, s *bus.Service) {
	handle(a, s, proto.EndpointRolloutList, o.list)
	handle(a, s, proto.EndpointRolloutShow, o.show)
	handle(a, s, proto.EndpointRolloutPlan, o.plan)
	handle(a, s, proto.EndpointRolloutAct, o.act)
}

// run carries the rollouts of all channels on, side by side, until ctx ends.
func (o *rollouts) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range o.runners {
		g.Go(func() error { return r.run(ctx) })
	}
	return g.Wait()
}

// forgetReleases is [runner.forgetReleases] for all channels.
func (o *rollouts) forgetReleases() {
	for _, r := range o.runners {
		r.forgetReleases()
	}
}

// keeps is [runner.keeps] for all channels.
func (o *rollouts) keeps(host proto.HostName) (kept []proto.StorePath) {
	for _, r := range o.runners {
		kept = append(kept, r.keeps(host)...)
	}
	return kept
}

// toplevels returns what the rollouts are to bring to hosts, or give back to them.
func (o *rollouts) toplevels() (all []proto.StorePath) {
	for _, r := range o.runners {
		for _, p := range r.current().Hosts {
			all = append(all, p.Toplevel, p.Before.Toplevel)
		}
	}
	return all
}

// held returns how many hosts people hold.
func (o *rollouts) held() int {
	n := 0
	for _, h := range o.holds.list("") {
		if !h.Host.IsZero() {
			n++
		}
	}
	return n
}

// channels returns the names of all channels, sorted.
func (o *rollouts) channels() []string { return slices.Sorted(maps.Keys(o.runners)) }

// find returns the channel that name means: by its own name, or by the ID of a rollout
// of it, which may be one that is remembered. Where there is one channel it need not be
// named.
func (o *rollouts) find(name string) (*runner, rollout.Rollout, error) {
	if r, ok := o.runners[name]; ok {
		return r.chosen(r.current(), name)
	}
	if channels := o.channels(); name == "" && len(channels) == 1 {
		r := o.runners[channels[0]]
		return r.chosen(r.current(), channels[0])
	} else if name == "" {
		return nil, rollout.Rollout{}, bus.Errorf(bus.CodeBadRequest, "there are %d channels (%s): name one, or a rollout", len(channels), strings.Join(channels, ", "))
	}
	for _, channel := range o.channels() {
		r := o.runners[channel]
		for _, known := range r.all() {
			if known.ID == name {
				return r, known, nil
			}
		}
	}
	return nil, rollout.Rollout{}, bus.Errorf(bus.CodeNotFound, "no rollout and no channel is called %q; see kedge rollout list", name)
}

// chosen returns r with its rollout, if it has one.
func (r *runner) chosen(now rollout.Rollout, channel string) (*runner, rollout.Rollout, error) {
	if now.ID == "" {
		return nil, now, bus.Errorf(bus.CodeNotFound, "channel %s has had no rollout yet", channel)
	}
	return r, now, nil
}

func (o *rollouts) list(_ context.Context, _ bus.Caller, req proto.RolloutListRequest) (proto.RolloutListReply, error) {
	if req.Channel != "" && o.runners[req.Channel] == nil {
		return proto.RolloutListReply{}, unknownChannel(req.Channel)
	}
	reply := proto.RolloutListReply{Rollouts: []proto.RolloutView{}, Holds: o.holds.list(req.Channel)}
	for _, channel := range o.channels() {
		if req.Channel != "" && req.Channel != channel {
			continue
		}
		current := o.fleet.Rollout(channel).Rollout
		for _, known := range o.runners[channel].all() {
			view := current
			if known.ID != current.ID { // it has ended, and nothing changes any more
				view = viewOf(known, rollout.Explain(known, rollout.Fleet{}, known.Created))
			}
			reply.Rollouts = append(reply.Rollouts, view)
		}
	}
	slices.SortStableFunc(reply.Rollouts, func(a, b proto.RolloutView) int {
		return cmp.Or(compareEnded(a, b), b.Created.Compare(a.Created))
	})
	return reply, nil
}

// compareEnded sorts what has ended after what has not.
func compareEnded(a, b proto.RolloutView) int {
	switch ended := a.State.Ended(); {
	case ended == b.State.Ended():
		return 0
	case ended:
		return 1
	}
	return -1
}

func unknownChannel(name string) error {
	return bus.Errorf(bus.CodeNotFound, "channel %q is not known; see kedge rollout list", name)
}

func (o *rollouts) show(ctx context.Context, _ bus.Caller, req proto.RolloutShowRequest) (proto.RolloutShowReply, error) {
	if err := cmp.Or(inRange("limit", req.Limit, proto.MaxHosts), inRange("wait", req.Wait, proto.MaxWait)); err != nil {
		return proto.RolloutShowReply{}, err
	}
	shown, err := o.whole(ctx, req)
	if err != nil {
		return proto.RolloutShowReply{}, err
	}
	shown.Hosts, shown.Continue, err = pageAfter(shown.Hosts, req.Continue, req.Limit)
	return shown, err
}

// whole is show, with all hosts.
func (o *rollouts) whole(ctx context.Context, req proto.RolloutShowRequest) (proto.RolloutShowReply, error) {
	r, known, err := o.find(req.Rollout)
	if err != nil {
		return proto.RolloutShowReply{}, err
	}
	if req.After != 0 && req.Continue.IsZero() {
		ctx, cancel := context.WithTimeout(ctx, req.Wait)
		defer cancel()
		o.fleet.AwaitRollout(ctx, r.channel, req.After)
	}
	shown := o.fleet.Rollout(r.channel)
	if shown.Rollout.ID == known.ID || req.Rollout == "" || req.Rollout == r.channel {
		return shown, nil
	}
	plans := rollout.Explain(known, rollout.Fleet{}, known.Created) // it has ended
	return proto.RolloutShowReply{Version: shown.Version, Rollout: viewOf(known, plans), Hosts: hostViews(known, plans, rollout.Fleet{})}, nil
}

// pageAfter returns the page of hosts after one, and after whom the next one is, if there
// is one.
func pageAfter(hosts []proto.RolloutHost, after proto.HostName, limit int) (page []proto.RolloutHost, next proto.HostName, err error) {
	if hosts, err = hostsAfter(hosts, after); err != nil {
		return nil, next, err
	}
	n, err := fits(hosts, limit)
	if err != nil {
		return nil, next, err
	}
	if n < len(hosts) {
		next = hosts[n-1].Host
	}
	return hosts[:n], next, nil
}

func hostsAfter(hosts []proto.RolloutHost, after proto.HostName) ([]proto.RolloutHost, error) {
	if after.IsZero() {
		return hosts, nil
	}
	i := slices.IndexFunc(hosts, func(h proto.RolloutHost) bool { return h.Host == after })
	if i < 0 {
		return nil, bus.Errorf(bus.CodeConflict, "host %s is not in this rollout: begin with the first page again", after)
	}
	return hosts[i+1:], nil
}

func (o *rollouts) plan(ctx context.Context, _ bus.Caller, req proto.RolloutPlanRequest) (proto.RolloutPlanReply, error) {
	if err := inRange("limit", req.Limit, proto.MaxHosts); err != nil {
		return proto.RolloutPlanReply{}, err
	}
	shown, err := o.whole(ctx, proto.RolloutShowRequest{Rollout: req.Rollout})
	if err != nil {
		return proto.RolloutPlanReply{}, err
	}
	rest, err := hostsAfter(shown.Hosts, req.Continue) // who has gone meanwhile is still found
	if err != nil {
		return proto.RolloutPlanReply{}, err
	}
	going := []proto.RolloutHost{}
	for _, h := range rest {
		switch h.State {
		case proto.RolloutHostWaiting, proto.RolloutHostPublished, proto.RolloutHostDeferred:
			going = append(going, h)
		case proto.RolloutHostSettled, proto.RolloutHostSilent, proto.RolloutHostOffline:
		}
	}
	reply := proto.RolloutPlanReply{Rollout: shown.Rollout, Holds: o.holds.list(shown.Rollout.Channel)}
	reply.Hosts, reply.Continue, err = pageAfter(going, proto.HostName{}, req.Limit)
	return reply, err
}
