package rollout

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"kedge/proto"
)

var (
	errNotRunning = errors.New("the rollout is not running")
	errOtherWave  = errors.New("it belongs to another wave")
	errHostState  = errors.New("the host is in another state")
	errNoSerial   = errors.New("a serial is required")
	errWaveState  = errors.New("the wave is in another state")
	errNoAction   = errors.New("there is no such action")
)

// A Result is an action that was carried out.
type Result struct {
	Action Action
	Serial proto.Serial // of the assignment, if the action is a Publish
}

// Apply returns r after everything in done was carried out at now, in that
// order; r itself is not changed. If one of them is not what [Next] asked for, r
// is returned as it is, with an error.
func (r Rollout) Apply(done []Result, now time.Time) (Rollout, error) {
	next := r
	next.Waves, next.Hosts = slices.Clone(r.Waves), maps.Clone(r.Hosts)
	for _, d := range done {
		if err := next.apply(d.Action, d.Serial, now); err != nil {
			return r, fmt.Errorf("rollout %s: %s %s: %w", r.ID, d.Action.Kind, subject(d.Action), err)
		}
	}
	return next, nil
}

func subject(a Action) string {
	if a.Host.IsZero() {
		return fmt.Sprintf("wave %d", a.Wave)
	}
	return a.Host.String()
}

// apply changes r, whose waves and hosts are its own.
func (r *Rollout) apply(a Action, serial proto.Serial, now time.Time) error {
	if r.State != Running {
		return errNotRunning
	}
	if a.Wave != r.Wave {
		return errOtherWave
	}
	switch a.Kind {
	case StartWave:
		return r.startWave(now)
	case Publish:
		return r.publish(a.Host, Progress{Serial: serial}, now)
	case Keep:
		return r.publish(a.Host, Progress{Serial: a.Serial, Kept: true}, now)
	case Settle:
		return r.settle(a.Host, a.Verdict, now)
	case EndWave:
		return r.endWave(now)
	case Finish:
		if r.Wave < len(r.Waves) {
			return errWaveState
		}
		r.State, r.Ended = Done, now
		return nil
	}
	return errNoAction
}

func (r *Rollout) startWave(now time.Time) error {
	if r.Wave == len(r.Waves) || !r.Waves[r.Wave].Started.IsZero() {
		return errWaveState
	}
	r.Waves[r.Wave].Started = now
	return nil
}

func (r *Rollout) endWave(now time.Time) error {
	if r.Wave == len(r.Waves) || r.Waves[r.Wave].Started.IsZero() {
		return errWaveState
	}
	r.Waves[r.Wave].Ended = now
	r.Wave++
	return nil
}

// publish notes that h was assigned its toplevel, as p says.
func (r *Rollout) publish(h proto.HostName, p Progress, now time.Time) error {
	if err := r.inWave(h); err != nil {
		return err
	}
	if p.Serial == 0 {
		return errNoSerial
	}
	was := r.Hosts[h]
	if was.State != Waiting {
		return errHostState
	}
	p.Toplevel, p.State, p.Since = was.Toplevel, Published, now
	r.Hosts[h] = p
	return nil
}

// settle notes that h came to v.
func (r *Rollout) settle(h proto.HostName, v proto.Verdict, now time.Time) error {
	if err := r.inWave(h); err != nil {
		return err
	}
	p := r.Hosts[h]
	if p.State == Waiting || !final(v) {
		return errHostState
	}
	p.State, p.Verdict, p.Since = Settled, v, now
	r.Hosts[h] = p
	return nil
}

// inWave reports why h cannot be acted on now, or nil.
func (r *Rollout) inWave(h proto.HostName) error {
	if r.Wave == len(r.Waves) || !r.Waves[r.Wave].has(h) {
		return errOtherWave
	}
	if r.Waves[r.Wave].Started.IsZero() {
		return errWaveState
	}
	return nil
}
