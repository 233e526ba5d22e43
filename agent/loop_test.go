package agent

import (
	"fmt"
	"testing"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// A past is one deployment of a history: how long before the last it began.
type past struct {
	ago      time.Duration
	toplevel string
	attempt  int
	reason   proto.Reason
	steps    []proto.Phase
	why      proto.Reason // of the first step
}

func TestLooping(t *testing.T) {
	begun := []proto.Phase{proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseActivating, proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseCommitted}
	back := []proto.Phase{proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseActivating, proto.PhaseRollingBack, proto.PhaseRolledBack}
	nowhere := []proto.Phase{proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseActivating, proto.PhaseRollingBack, proto.PhaseInconclusive}
	unbegun := []proto.Phase{proto.PhaseAccepted, proto.PhaseFailed}
	// times is n deployments, every few minutes; the last is now.
	times := func(n int, every time.Duration, p past) (all []past) {
		for i := range n {
			p.ago = time.Duration(n-1-i) * every
			all = append(all, p)
		}
		return all
	}
	b := past{toplevel: "b", attempt: 1, steps: begun}
	with := func(all []past, change func(p *past)) []past {
		for i := range all {
			change(&all[i])
		}
		return all
	}
	for _, tt := range []struct {
		name string
		all  []past
		want bool
	}{
		{"one is none", times(1, 0, b), false},
		{"as many as may be", times(loopLimit, time.Minute, b), false},
		{"one more", times(loopLimit+1, time.Minute, b), true},
		{"one more, each committed at a retry", with(times(loopLimit+1, time.Minute, b), func(p *past) { p.attempt = 3 }), true},
		{"one more, each rolled back", with(times(loopLimit+1, time.Minute, b), func(p *past) { p.steps = back }), true},
		{"one more, each inconclusive and asked for anew", with(times(loopLimit+1, time.Minute, b), func(p *past) { p.steps = nowhere }), true},
		{"retries that were inconclusive", with(times(2*loopLimit, time.Minute, b), func(p *past) { p.attempt, p.steps = 2, nowhere }), false},
		{"what was brought back after boots", with(times(2*loopLimit, time.Minute, b), func(p *past) { p.steps, p.why = back, proto.ReasonSpecialised }), false},
		{"what touched nothing", with(times(2*loopLimit, time.Minute, b), func(p *past) { p.steps = unbegun }), false},
		{"more, but over a longer time", times(2*loopLimit, loopWindow/loopLimit, b), false},
		{"more, of which some have another time, because the clock was set back", append([]past{{ago: -time.Minute, toplevel: "b", attempt: 1, steps: begun}}, times(loopLimit, time.Minute, b)...), false},
		{"two systems in turn", with(times(2*loopLimit+1, time.Minute, b), func(p *past) {
			if p.ago/time.Minute%2 == 1 {
				p.toplevel = "a"
			}
		}), true},
		{"two in turn, not often enough", with(times(2*loopLimit, time.Minute, b), func(p *past) {
			if p.ago/time.Minute%2 == 1 {
				p.toplevel = "a"
			}
		}), false},
		{"the last of another system", append(times(2*loopLimit, time.Minute, b), past{toplevel: "a", attempt: 1, steps: begun}), false},
	} {
		var h statefile.History
		for i, p := range tt.all {
			h.Deployments = append(h.Deployments, p.past(t, i))
		}
		n := len(h.Deployments) - 1
		last := h.Deployments[n]
		h.Deployments = h.Deployments[:n]
		if got := looping(h, last); got != tt.want {
			t.Errorf("%s: looping = %t, want %t", tt.name, got, tt.want)
		}
	}
}

// past returns p as it is remembered.
func (p past) past(t *testing.T, n int) statefile.Past {
	t.Helper()
	path, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-" + p.toplevel)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-p.ago)
	d := deployment.Deployment{ID: fmt.Sprint(n), Toplevel: path, Attempt: p.attempt, Phase: p.steps[len(p.steps)-1], Reason: p.reason, Since: at}
	for _, phase := range p.steps {
		d.History = append(d.History, deployment.Step{Phase: phase, Time: at})
	}
	d.History[0].Reason = p.why
	return statefile.NewPast(d)
}

func TestStands(t *testing.T) {
	stood := past{toplevel: "b", reason: proto.ReasonRebootFailed, steps: []proto.Phase{proto.PhaseArmed, proto.PhaseRollingBack, proto.PhaseInconclusive}}
	other := past{toplevel: "b", reason: proto.ReasonNoContact, steps: stood.steps}
	every := func(d time.Duration, all ...past) []past {
		for i := range all {
			all[i].ago = time.Duration(len(all)-1-i) * d
		}
		return all
	}
	foreign := past{toplevel: "a", steps: []proto.Phase{proto.PhaseCommitted}}
	for _, tt := range []struct {
		name string
		all  []past
		want bool
	}{
		{"one", every(time.Hour, stood), false},
		{"two", every(time.Hour, stood, stood), false},
		{"three", every(time.Hour, stood, stood, stood), true},
		{"three, and another system between them", every(time.Hour, stood, foreign, stood, foreign, stood), true},
		{"three, and another end between them", every(time.Hour, stood, other, stood, stood), false},
		{"three, over more than a day", every(12*time.Hour, stood, stood, stood), false},
		{"three, and then another end", every(time.Hour, stood, stood, stood, other), false},
		{"three, two of them in the future, as the clock was set back", every(-time.Hour, stood, stood, stood), false},
	} {
		var h statefile.History
		for i, p := range tt.all {
			h.Deployments = append(h.Deployments, p.past(t, i))
		}
		n := len(h.Deployments) - 1
		last := h.Deployments[n]
		h.Deployments = h.Deployments[:n]
		if got := stands(h, last); got != tt.want {
			t.Errorf("%s: stands = %t, want %t", tt.name, got, tt.want)
		}
	}
}
