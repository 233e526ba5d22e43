package controller

import (
	"cmp"
	"slices"
	"strings"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// show has everybody see how the rollout is. The caller holds r.mu.
func (r *runner) show() {
	if r.rollout.ID == "" {
		return
	}
	r.list()
	fleet := r.seen // not what was heard since, and not acted on
	if fleet.Hosts == nil {
		fleet = r.observe()
	}
	plans := rollout.Explain(r.rollout, fleet, r.now())
	hosts := hostViews(r.rollout, plans, fleet)
	for i, h := range hosts {
		hosts[i].Changes = r.fleet.changes(h.Host, h.Toplevel)
	}
	view := viewOf(r.rollout, plans)
	view.Promotes = r.rollout.Promotion(fleet, r.now())
	r.fleet.Rolled(proto.RolloutShowReply{Rollout: view, Hosts: hosts})
}

// hostViews returns how far a rollout has come with each host, in the order of plans.
func hostViews(r rollout.Rollout, plans []rollout.HostPlan, fleet rollout.Fleet) []proto.RolloutHost {
	views := make([]proto.RolloutHost, 0, len(plans))
	for _, p := range plans {
		h := proto.RolloutHost{
			Host: p.Host, State: proto.RolloutHostState(p.Progress.State), Toplevel: p.Progress.Toplevel, Serial: p.Progress.Serial,
			Verdict: p.Progress.Verdict, Since: p.Progress.Since, Before: p.Progress.Before.Toplevel, Waits: waitOf(r.State, p),
		}
		if held := cmp.Or(fleet.Hosts[p.Host].Held, p.Progress.Held()); p.Wait == rollout.WaitOver && r.State == rollout.Done && held != "" {
			h.Waits = &proto.RolloutWait{For: proto.ReasonHeld, Message: "held: " + held} // it goes once it is released
		}
		if p.Wave < len(r.Waves) {
			h.Wave = r.Waves[p.Wave].Name
		}
		views = append(views, h)
	}
	return views
}

// viewOf returns a rollout as operators see it; plans are those of its hosts.
func viewOf(r rollout.Rollout, plans []rollout.HostPlan) proto.RolloutView {
	v := proto.RolloutView{
		ID: r.ID, Channel: r.Channel, Revision: r.Revision, State: proto.RolloutState(r.State),
		Since: later(r.Created, r.Entered.At), By: r.Entered.By, Why: r.Entered.Why, Created: r.Created, Wave: r.Wave,
	}
	if names := badHosts(r); r.Entered.By == "" && r.Entered.Why != "" && len(names) > 0 && r.State != rollout.Superseded {
		v.Why += ": " + hostNames(names)
	}
	for _, w := range r.Waves {
		v.Waves = append(v.Waves, proto.RolloutWave{Name: w.Name, Started: w.Started, Ended: w.Ended})
	}
	for _, p := range plans {
		if p.Wave == len(v.Waves) {
			v.Left++
			continue
		}
		countIn(&v.Waves[p.Wave], p.Progress)
	}
	return v
}

// countIn counts a host in its wave.
func countIn(w *proto.RolloutWave, p rollout.Progress) {
	w.Hosts++
	switch p.State {
	case rollout.Waiting:
		w.Waiting++
	case rollout.Published:
		w.Published++
	case rollout.Deferred:
		w.Deferred++
	case rollout.Offline:
		w.Offline++
	case rollout.Silent:
		w.Silent++
	case rollout.Settled:
		switch {
		case p.Verdict == proto.VerdictSuperseded:
			w.Overtaken++
		case p.Verdict.Bad():
			w.Failed++
		default:
			w.Succeeded++
		}
	}
}

// badHosts returns the hosts of a rollout that failed or fell silent, sorted.
func badHosts(r rollout.Rollout) (bad []proto.HostName) {
	for host, p := range r.Hosts {
		var w proto.RolloutWave
		if countIn(&w, p); w.Failed+w.Silent > 0 {
			bad = append(bad, host)
		}
	}
	slices.SortFunc(bad, proto.HostName.Compare)
	return bad
}

// waitOf returns what a host of a rollout in a state waits for, nil for nothing.
func waitOf(s rollout.State, p rollout.HostPlan) *proto.RolloutWait {
	w := proto.RolloutWait{Until: p.At}
	switch p.Wait {
	case rollout.WaitNone:
		if !p.Now || p.Progress.State != rollout.Waiting {
			return nil
		}
		w.For, w.Message = proto.ReasonItsTurn, "it is its turn"
	case rollout.WaitOver:
		w.For, w.Message = over(s)
	case rollout.WaitHeld:
		w.For, w.Message = proto.ReasonHeld, "held: "+p.Why
	case rollout.WaitHalted:
		w.For, w.Message = proto.ReasonHalted, "the rollout halted"
	case rollout.WaitPaused:
		w.For, w.Message = proto.ReasonPaused, strings.TrimSuffix("the rollout is paused: "+p.Why, ": ")
	case rollout.WaitFrozen:
		w.For, w.Message = proto.ReasonFrozen, "frozen: "+p.Why
	case rollout.WaitSilent:
		w.For, w.Message = proto.ReasonFleetSilent, p.Why
	case rollout.WaitWave:
		w.For, w.Message = proto.ReasonEarlierWave, "wave "+p.Why+" goes before it"
	case rollout.WaitCanary:
		w.For, w.Message = proto.ReasonAwaitingCanary, "the canary of wave "+p.Why+" goes before it"
	case rollout.WaitDeferred:
		w.For, w.Message = proto.ReasonCanaryDeferred, "the canary of wave "+p.Why+" waits for something of its own: see to that, or hold it, and another one goes first"
	case rollout.WaitSoak:
		w.For, w.Message = proto.ReasonSoaking, "wave "+p.Why+" soaks"
	case rollout.WaitApproval:
		w.For, w.Message = proto.ReasonAwaitingApproval, "wave "+p.Why+" waits for an approval"
	case rollout.WaitWindow:
		w.For, w.Message = proto.ReasonOutsideWindow, "no window is open"
	case rollout.WaitInFlight:
		w.For, w.Message = proto.ReasonInFlight, "as many of wave "+p.Why+" as may are under way"
	}
	if w.For == "" {
		return nil
	}
	return &w
}

// over says what hosts wait for that a rollout did not come to before its end.
func over(s rollout.State) (proto.Reason, string) {
	switch s {
	case rollout.Aborted:
		return proto.ReasonAborted, "the rollout was aborted"
	case rollout.Reverting, rollout.Reverted:
		return proto.ReasonReverted, "the rollout is taken back"
	case rollout.Running, rollout.Paused, rollout.Halted, rollout.Done, rollout.Superseded:
	}
	return "", ""
}
