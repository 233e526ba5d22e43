package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"kedge/proto"
)

// A Wait is what a host waits for before it is published to.
type Wait string

// What hosts wait for. Where several are true of a host, the first of these is
// told.
const (
	WaitNone     Wait = ""          // nothing: it goes now, or it went
	WaitOver     Wait = "over"      // nothing any more: the rollout has ended, or goes back
	WaitHeld     Wait = "held"      // its release, or the end of what else holds it
	WaitHalted   Wait = "halted"    // a person who retries, reverts or aborts: a budget is broken
	WaitPaused   Wait = "paused"    // a person who resumes
	WaitFrozen   Wait = "frozen"    // a thaw
	WaitSilent   Wait = "silent"    // a fleet that can be heard again
	WaitWave     Wait = "wave"      // an earlier wave
	WaitDeferred Wait = "deferred"  // the canary of its wave, which waits for something of its own
	WaitCanary   Wait = "canary"    // the canary of its wave
	WaitSoak     Wait = "soak"      // the soak of the earlier wave, or of the canary
	WaitApproval Wait = "approval"  // a person who promotes
	WaitWindow   Wait = "window"    // an open window
	WaitInFlight Wait = "in-flight" // others that are at work
)

// A HostPlan says when a host goes, and why not yet.
type HostPlan struct {
	Host     proto.HostName
	Progress Progress
	Wave     int  // index of the wave it goes with; len(Waves) if it goes with none
	Canary   bool // it goes before the others of its wave
	Offline  bool // it cannot be heard, so that nobody waits for it
	// Now is true if it is published to now: it is in what [Next] answers, as soon as
	// it answers with publications.
	Now  bool
	Wait Wait
	// At is when that is over, if nothing else comes in between; zero if no clock
	// decides it.
	At time.Time
	// Why says in words what Wait is about: which wave, which budget, or what a person
	// said.
	Why string
}

// Explain says of every host of r when it goes, and why not yet, in the order of
// waves and names. It takes for done what [Next] asks for, but for publications.
func Explain(r Rollout, f Fleet, now time.Time) []HostPlan {
	v := view{r, f, now}.settled()
	going := map[proto.HostName]bool{}
	for _, a := range v.next() {
		going[a.Host] = true
	}
	plans := make([]HostPlan, 0, len(v.Hosts))
	waves, turn := v.waveOf(), v.turn()
	for name, p := range v.Hosts {
		h := HostPlan{Host: name, Progress: p, Wave: waves[name], Offline: !f.Hosts[name].online(), Now: going[name]}
		h.Canary = h.Wave < len(v.Waves) && contains(v.Waves[h.Wave].Canary, name)
		if p.State == Waiting && !h.Now {
			g := v.gateOf(name, h.Wave, turn)
			h.Wait, h.At, h.Why = g.wait, g.at, g.why
		}
		plans = append(plans, h)
	}
	slices.SortFunc(plans, func(a, b HostPlan) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave), a.Host.Compare(b.Host))
	})
	return plans
}

// settled returns v after everything that there is to do but publish.
func (v view) settled() view {
	for {
		actions := v.next()
		if len(actions) == 0 || actions[0].Kind == Publish {
			return v
		}
		done := make([]Result, len(actions))
		for i, a := range actions {
			done[i].Action = a
		}
		r, err := v.Apply(done, v.now)
		if err != nil {
			return v // never, for Next asked for it
		}
		v.Rollout = r
	}
}

// waveOf returns with which wave each host goes, or went last. Whoever was left
// behind by one goes with the rest.
func (v view) waveOf() map[proto.HostName]int {
	of := make(map[proto.HostName]int, len(v.Hosts))
	rest := slices.IndexFunc(v.Waves, func(w Wave) bool { return w.Rest && w.Started.IsZero() })
	if rest < 0 {
		rest = len(v.Waves)
	}
	for h := range v.Hosts {
		of[h] = rest
	}
	for i, w := range v.Waves {
		for _, h := range w.Hosts {
			if w.Ended.IsZero() || v.Hosts[h].State != Waiting {
				of[h] = i
			}
		}
	}
	return of
}

// A turn is what those wait for who do not go with the current wave now.
type turn struct {
	wave   Wave
	shut   gate // whoever goes with the wave
	others gate // those of the wave who are not its canary, as long as that goes
	later  gate // whoever goes with a later wave
}

// turn returns what there is to wait for.
func (v view) turn() (t turn) {
	if v.State.Ended() || v.Wave == len(v.Waves) {
		return turn{}
	}
	t.wave = v.Waves[v.Wave]
	t.shut = v.gate(t.wave)
	t.others = v.behind(t.wave, false, WaitCanary)
	if names := v.deferred(t.wave); names != "" {
		t.others = gate{wait: WaitDeferred, why: t.wave.Name + " (" + names + ")"}
	}
	t.later = v.behind(t.wave, t.wave.canarying(), WaitWave)
	return t
}

// gateOf returns what a host waits for that goes with a wave, but not now.
func (v view) gateOf(h proto.HostName, wave int, t turn) gate {
	switch held := v.held(h); {
	case v.State.Ended() || wave == len(v.Waves):
		return gate{wait: WaitOver, why: string(v.State)}
	case held != "":
		return gate{wait: WaitHeld, why: held}
	case v.State == Halted:
		return gate{wait: WaitHalted, why: v.Entered.Why}
	case v.State == Paused:
		return gate{wait: WaitPaused, why: v.Entered.Why}
	case t.shut.wait == WaitFrozen, t.shut.wait == WaitSilent:
		return t.shut
	case wave > v.Wave:
		return t.later
	case t.wave.canarying() && !contains(t.wave.Canary, h):
		return t.others
	case t.shut.wait != WaitNone:
		return t.shut
	}
	return gate{wait: WaitInFlight, why: t.wave.Name}
}

// deferred names the canaries of wave that wait for something of their own, if nobody else
// is waited for.
func (v view) deferred(wave Wave) string {
	if !wave.canarying() || v.proven(wave.Canary) || slices.ContainsFunc(wave.Canary, func(h proto.HostName) bool { return !v.through(h) }) {
		return ""
	}
	const named = 3
	var names []string
	for _, h := range wave.Canary {
		if v.defers(h) {
			names = append(names, h.String())
		}
	}
	if more := len(names) - named; more > 0 {
		names = append(names[:named], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// behind returns what somebody waits for who goes after those of wave who go now:
// for them, or, unless more of it follow, for the end of their soak.
func (v view) behind(wave Wave, more bool, them Wait) gate {
	if until, through := v.soaked(wave); through && !more && !wave.Started.IsZero() {
		return gate{wait: WaitSoak, at: until, why: wave.Name}
	}
	return gate{wait: them, why: wave.Name}
}
