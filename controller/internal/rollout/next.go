package rollout

import (
	"slices"
	"time"

	"kedge/internal/spec"
	"kedge/proto"
)

// Next returns what to do now, in the order in which to do it; nothing while
// there is only waiting to do. It performs no I/O and reads no clock.
//
// It publishes only when everything else is done: whoever publishes has applied all
// that hosts came to, and what that broke.
func Next(r Rollout, f Fleet, now time.Time) []Action {
	return view{r, f, now}.next()
}

// next decides; see [Next].
func (v view) next() []Action {
	if v.State.Ended() {
		return nil
	}
	if seen := v.observed(); len(seen) > 0 {
		return seen
	}
	switch v.State {
	case Running:
		if why := v.broken(); why != "" {
			return []Action{{Kind: v.reaction(), Wave: v.Wave, Why: why}}
		}
		return v.proceed()
	case Reverting:
		return v.proceed()
	case Paused, Halted, Done, Reverted, Aborted, Superseded:
	}
	return nil
}

func (v view) reaction() Kind {
	if v.OnBroken == spec.Revert {
		return Revert
	}
	return Halt
}

// proceed returns what brings the current wave on.
func (v view) proceed() []Action {
	if v.Wave == len(v.Waves) {
		return []Action{{Kind: Finish, Wave: v.Wave}}
	}
	wave := v.Waves[v.Wave]
	if wave.Started.IsZero() {
		return v.start(wave)
	}
	if actions := v.send(wave); len(actions) > 0 {
		return actions
	}
	soaked, through := v.soaked(wave)
	through = through && !v.now.Before(soaked)
	if wave.canarying() && (through || v.absent(wave.Canary)) {
		if more := v.redraw(wave); len(more) > 0 {
			return []Action{{Kind: Redraw, Wave: v.Wave, Canary: more}}
		}
	}
	switch {
	case !through:
		return nil
	case wave.canarying():
		return []Action{{Kind: Widen, Wave: v.Wave}}
	}
	return []Action{{Kind: EndWave, Wave: v.Wave}}
}

// start returns the start of wave, unless somebody would be published to who must
// not be yet.
func (v view) start(wave Wave) []Action {
	members := v.members(wave)
	moving := slices.DeleteFunc(slices.Clone(members), func(h proto.HostName) bool { return !v.moving(h) })
	if len(moving) > 0 && v.gate(wave).wait != WaitNone {
		return nil
	}
	return []Action{{Kind: StartWave, Wave: v.Wave, Hosts: members, Canary: v.canary(wave, len(members), moving)}}
}

// members returns the hosts with which wave starts.
func (v view) members(wave Wave) []proto.HostName {
	switch {
	case v.State == Reverting || wave.has(v.Own):
		return wave.Hosts
	case wave.Rest:
		return v.unsent()
	}
	return slices.DeleteFunc(slices.Clone(wave.Hosts), func(h proto.HostName) bool {
		return !v.fleet.Hosts[h].known() || v.held(h) != ""
	})
}

// send returns who of wave is published to now.
func (v view) send(wave Wave) (actions []Action) {
	shut, free := v.gate(wave).wait != WaitNone, v.free(wave)
	for _, name := range wave.stage() {
		p, h := v.Hosts[name], v.fleet.Hosts[name]
		if p.State != Waiting {
			continue
		}
		switch {
		case shut || v.held(name) != "" || free == 0 && h.online():
			continue
		case h.online():
			free--
		}
		actions = append(actions, Action{
			Kind: Publish, Wave: v.Wave, Host: name, Toplevel: p.Toplevel, Release: p.Release, Before: p.back(h), Offline: !h.online(),
		})
	}
	return actions
}
