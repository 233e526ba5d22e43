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
)

// Apply returns r after action a was carried out at now; r itself is not
// changed. For a [Publish], serial is that of the assignment; other actions
// take none. An error means that a is not what [Next] asked for.
func (r Rollout) Apply(a Action, serial proto.Serial, now time.Time) (Rollout, error) {
	next, err := r.apply(a, serial, now)
	if err != nil {
		return r, fmt.Errorf("rollout %s: %s %s: %w", r.ID, a.Kind, subject(a), err)
	}
	return next, nil
}

func subject(a Action) string {
	if a.Host.IsZero() {
		return fmt.Sprintf("wave %d", a.Wave)
	}
	return a.Host.String()
}

func (r Rollout) apply(a Action, serial proto.Serial, now time.Time) (Rollout, error) {
	if r.State != Running {
		return r, errNotRunning
	}
	if a.Wave != r.Wave {
		return r, errOtherWave
	}
	switch a.Kind {
	case StartWave:
		return r.startWave(now)
	case Publish:
		return r.published(a.Host, Progress{Serial: serial}, now)
	case Keep:
		return r.published(a.Host, Progress{Serial: a.Serial, Kept: true}, now)
	case Settle:
		return r.settled(a.Host, a.Verdict, now)
	case EndWave:
		return r.endWave(now)
	case Finish:
		if r.Wave < len(r.Waves) {
			return r, errWaveState
		}
		r.State, r.Ended = Done, now
		return r, nil
	}
	return r, errors.New("no such action")
}

func (r Rollout) startWave(now time.Time) (Rollout, error) {
	if r.Wave == len(r.Waves) || !r.Waves[r.Wave].Started.IsZero() {
		return r, errWaveState
	}
	r.Waves = slices.Clone(r.Waves)
	r.Waves[r.Wave].Started = now
	return r, nil
}

func (r Rollout) endWave(now time.Time) (Rollout, error) {
	if r.Wave == len(r.Waves) || r.Waves[r.Wave].Started.IsZero() {
		return r, errWaveState
	}
	r.Waves = slices.Clone(r.Waves)
	r.Waves[r.Wave].Ended = now
	r.Wave++
	return r, nil
}

// published returns r after h was assigned its toplevel, as p says.
func (r Rollout) published(h proto.HostName, p Progress, now time.Time) (Rollout, error) {
	if err := r.inWave(h); err != nil {
		return r, err
	}
	if p.Serial == 0 {
		return r, errNoSerial
	}
	was := r.Hosts[h]
	if was.State != Waiting {
		return r, errHostState
	}
	p.Toplevel, p.State, p.Since = was.Toplevel, Published, now
	return r.with(h, p), nil
}

func (r Rollout) settled(h proto.HostName, v proto.Verdict, now time.Time) (Rollout, error) {
	if err := r.inWave(h); err != nil {
		return r, err
	}
	p := r.Hosts[h]
	if p.State == Waiting || !final(v) {
		return r, errHostState
	}
	p.State, p.Verdict, p.Since = Settled, v, now
	return r.with(h, p), nil
}

// inWave reports why h cannot be acted on now, or nil.
func (r Rollout) inWave(h proto.HostName) error {
	if r.Wave == len(r.Waves) || !r.Waves[r.Wave].has(h) {
		return errOtherWave
	}
	if r.Waves[r.Wave].Started.IsZero() {
		return errWaveState
	}
	return nil
}

func (r Rollout) with(h proto.HostName, p Progress) Rollout {
	r.Hosts = maps.Clone(r.Hosts)
	r.Hosts[h] = p
	return r
}
