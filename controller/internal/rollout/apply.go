package rollout

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"kedge/proto"
)

var (
	errOtherWave = errors.New("it belongs to another wave")
	errHostState = errors.New("the host is in another state")
	errNoSerial  = errors.New("a higher serial is required")
	errWaveState = errors.New("the wave is in another state")
	errNoMember  = errors.New("it is not sorted, or names others than the rollout's hosts")
	errNoAction  = errors.New("there is no such action")
)

// Apply returns r after everything in done was carried out at now, in that
// order; r itself is not changed. If one of them is not what [Next] asked for, r
// is returned as it is, with an error.
func (r Rollout) Apply(done []Result, now time.Time) (Rollout, error) {
	next := r.clone()
	for _, d := range done {
		if err := next.apply(d.Action, d.Serial, now); err != nil {
			return r, fmt.Errorf("rollout %s: %s %s: %w", r.ID, d.Action.Kind, d.Action.subject(), err)
		}
	}
	return next, nil
}

// apply changes r, whose waves and hosts are its own.
func (r *Rollout) apply(a Action, serial proto.Serial, now time.Time) error {
	if a.Wave != r.Wave {
		return errOtherWave
	}
	switch a.Kind {
	case Renew, Settle, Doubt, Defer, Silence:
		return r.observe(a, now)
	case Halt:
		return r.turn(Halted, Act{At: now, Why: a.Why})
	case Revert:
		return r.goBack(Act{At: now, Why: a.Why})
	case StartWave, Publish, Keep, Redraw, Widen, EndWave, Finish:
	default:
		return errNoAction
	}
	if r.State != Running && r.State != Reverting && (a.Kind != Keep || r.State.Ended()) {
		return ErrState
	}
	if a.Kind == Finish {
		return r.finish(now)
	}
	if r.Wave == len(r.Waves) || r.Waves[r.Wave].Started.IsZero() != (a.Kind == StartWave) {
		return errWaveState
	}
	return r.applyToWave(&r.Waves[r.Wave], a, serial, now)
}

// applyToWave changes r and its current wave.
func (r *Rollout) applyToWave(wave *Wave, a Action, serial proto.Serial, now time.Time) error {
	switch a.Kind {
	case StartWave:
		started := *wave
		started.Hosts, started.Canary, started.Started = a.Hosts, a.Canary, now
		if !r.holds(started) {
			return errNoMember
		}
		*wave = started
	case Publish:
		return r.publish(wave, a, Progress{Before: a.Before, Serial: serial}, now)
	case Keep:
		return r.publish(wave, a, Progress{Before: r.Hosts[a.Host].Before, Serial: a.Serial, Kept: true}, now)
	case Redraw:
		more := *wave
		more.Canary = slices.Concat(wave.Canary, a.Canary)
		slices.SortFunc(more.Canary, proto.HostName.Compare)
		if !wave.canarying() || !r.holds(more) {
			return errWaveState
		}
		*wave = more
	case Widen:
		if !wave.canarying() {
			return errWaveState
		}
		wave.Widened = now
	case EndWave:
		if wave.canarying() {
			return errWaveState
		}
		wave.Ended = now
		r.Wave++
	case Renew, Settle, Doubt, Defer, Silence, Halt, Revert, Finish:
	}
	return nil
}

// publish notes that a's host was assigned its toplevel, as p says.
func (r *Rollout) publish(wave *Wave, a Action, p Progress, now time.Time) error {
	was := r.Hosts[a.Host]
	switch {
	case !contains(wave.stage(), a.Host):
		return errOtherWave
	case was.State != Waiting:
		return errHostState
	case p.Serial <= was.After:
		return errNoSerial
	}
	p.Toplevel, p.Release, p.After, p.Hold, p.Heard = was.Toplevel, was.Release, was.After, was.Hold, was.Heard
	p.Returns, p.Fresh = was.Returns, was.Fresh
	p.State, p.Since = Published, now
	if a.Offline {
		p.State = Offline
	}
	r.Hosts[a.Host] = p
	return nil
}

// observe notes what a's host came to.
func (r *Rollout) observe(a Action, now time.Time) error {
	p, member := r.Hosts[a.Host]
	overtaken := a.Kind == Settle && a.Verdict == proto.VerdictSuperseded && p.After > 0
	switch {
	case !member:
		return errNoMember
	case r.State.Ended() || p.State == Waiting && !overtaken:
		return errHostState
	case a.Kind == Renew && a.Serial > p.Serial:
		p.Serial = a.Serial
	case a.Kind == Doubt && p.Doubted.IsZero():
		p.Doubted = now
	case a.Kind == Doubt:
		p.Doubted = time.Time{}
	case a.Kind == Defer && p.State == Published:
		p.State, p.Since = Deferred, now
	case a.Kind == Silence && p.State == Published:
		p.State, p.Since = Silent, now
		if a.Offline {
			p.State = Offline
		}
	case a.Kind == Settle && final(a.Verdict):
		if r.arrived(p, a.Verdict) {
			r.Latency = r.Latency.with(now.Sub(r.Seen))
		}
		p.State, p.Verdict, p.Since, p.Doubted = Settled, a.Verdict, now, time.Time{}
		p.Serial, p.From = max(p.Serial, p.After), proto.StorePath{}
	default:
		return errHostState
	}
	r.Hosts[a.Host] = p
	return nil
}

// finish notes that the last wave has ended.
func (r *Rollout) finish(now time.Time) error {
	if r.Wave < len(r.Waves) {
		return errWaveState
	}
	if r.State == Reverting {
		return r.turn(Reverted, Act{At: now, Why: r.Entered.Why})
	}
	return r.turn(Done, Act{At: now})
}

// holds reports whether wave's hosts are hosts of r, and its canary are some of
// these.
func (r *Rollout) holds(wave Wave) bool {
	sorted := func(hosts []proto.HostName, among func(proto.HostName) bool) bool {
		for i, h := range hosts {
			if !among(h) || i > 0 && h.Compare(hosts[i-1]) <= 0 {
				return false
			}
		}
		return true
	}
	isHost := func(h proto.HostName) bool { _, ok := r.Hosts[h]; return ok }
	return sorted(wave.Hosts, isHost) && sorted(wave.Canary, wave.has)
}

// turn brings r into state s, if it may be entered.
func (r *Rollout) turn(s State, a Act) error {
	if !slices.Contains(s.from(), r.State) {
		return ErrState
	}
	r.State, r.Entered = s, a
	return nil
}
