package rollout

import (
	"time"

	"kedge/proto"
)

// A Fleet is what the controller knows of its hosts. A host that is missing
// was never heard of.
type Fleet map[proto.HostName]Host

// A Host is one host of the fleet as far as rollouts look at it.
type Host struct {
	// Toplevel and Serial are what was last published for the host, by any
	// rollout or person; zero before the first time.
	Toplevel proto.StorePath
	Serial   proto.Serial
	// Reported and Verdict are what the host last said: of which assignment,
	// and what it came to.
	Reported proto.Serial
	Verdict  proto.Verdict
	// Silent is true when the host was not heard of for some time, or never.
	Silent bool
}

// A Kind says what an action does. Only Publish has an effect outside the
// rollout.
type Kind string

// The kinds of actions.
const (
	StartWave Kind = "start-wave"
	Publish   Kind = "publish" // assign Host its Toplevel, durably, and let it know
	Keep      Kind = "keep"    // Host was assigned Toplevel already, as Serial
	Settle    Kind = "settle"  // Host came to Verdict
	EndWave   Kind = "end-wave"
	Finish    Kind = "finish"
)

// An Action is one thing to do now. Fields that its kind does not name are
// zero.
type Action struct {
	Kind     Kind            `json:"kind"`
	Wave     int             `json:"wave"`
	Host     proto.HostName  `json:"host,omitzero"`
	Toplevel proto.StorePath `json:"toplevel,omitzero"`
	Serial   proto.Serial    `json:"serial,omitempty"`
	Verdict  proto.Verdict   `json:"verdict,omitempty"`
}

// Next returns what to do now, in the order in which to do it; nothing while
// there is only waiting to do. It performs no I/O and reads no clock.
func Next(r Rollout, f Fleet, now time.Time) []Action {
	if r.State != Running {
		return nil
	}
	if r.Wave == len(r.Waves) {
		return []Action{{Kind: Finish, Wave: r.Wave}}
	}
	wave := r.Waves[r.Wave]
	var actions []Action
	if wave.Started.IsZero() {
		actions = append(actions, Action{Kind: StartWave, Wave: r.Wave})
	}
	through := true
	for _, h := range wave.Hosts {
		if a, ok := r.nextFor(h, f[h]); ok {
			actions = append(actions, a)
		}
		through = through && r.through(h, f)
	}
	if len(actions) == 0 && through && !now.Before(r.lastChange(wave).Add(wave.Soak)) {
		actions = append(actions, Action{Kind: EndWave, Wave: r.Wave})
	}
	return actions
}

// nextFor returns what to do for a host of the current wave, if anything.
func (r Rollout) nextFor(name proto.HostName, h Host) (Action, bool) {
	p := r.Hosts[name]
	a := Action{Wave: r.Wave, Host: name}
	switch p.State {
	case Waiting:
		a.Kind, a.Toplevel = Publish, p.Toplevel
		if h.Toplevel == p.Toplevel && h.Serial > 0 {
			a.Kind, a.Serial = Keep, h.Serial
		}
		return a, true
	case Published, Settled:
		a.Kind, a.Verdict = Settle, verdict(p, h)
		return a, final(a.Verdict) && a.Verdict != p.Verdict
	}
	return Action{}, false
}

// verdict returns what came of the assignment in p.
func verdict(p Progress, h Host) proto.Verdict {
	switch {
	case h.Serial > p.Serial || h.Reported > p.Serial:
		return proto.VerdictSuperseded // somebody published something else since
	case h.Reported == p.Serial:
		return h.Verdict
	default:
		return proto.VerdictPending
	}
}

func final(v proto.Verdict) bool {
	return v != proto.VerdictNone && v != proto.VerdictPending
}

// through reports whether the wave need not wait for the host any more.
func (r Rollout) through(name proto.HostName, f Fleet) bool {
	h, heardOf := f[name]
	switch r.Hosts[name].State {
	case Waiting:
		return false
	case Published:
		return h.Silent || !heardOf
	case Settled:
		return true
	}
	return false
}

// lastChange returns when a host of the wave last changed.
func (r Rollout) lastChange(w Wave) time.Time {
	last := w.Started
	for _, h := range w.Hosts {
		if since := r.Hosts[h].Since; since.After(last) {
			last = since
		}
	}
	return last
}
