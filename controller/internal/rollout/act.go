package rollout

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"kedge/internal/spec"
	"kedge/proto"
)

// What an act may be refused for.
var (
	ErrState   = errors.New("that is not possible in its state")
	ErrNoPause = errors.New("it waits for no approval, and for the end of no soak")
	ErrOther   = errors.New("it waits for something else by now")
	// errDeferred is ErrNoPause where there is something else to do.
	errDeferred = fmt.Errorf("%w: its canary waits for something of its own (see kedge rollout plan)", ErrNoPause)
)

// Recall returns r with what its hosts were assigned already, by a controller that crashed
// before it could save that, or under a higher serial. Without it an act takes them for
// hosts that did not go, or for whom somebody else published.
func (r Rollout) Recall(f Fleet, now time.Time) Rollout {
	var done []Result
	for _, a := range Next(r, f, now) {
		if a.Kind == Keep || a.Kind == Renew {
			done = append(done, Result{Action: a})
		}
	}
	next, err := r.Apply(done, now)
	if err != nil {
		return r // never, for Next asked for it
	}
	return next
}

// Pause returns r, which is running, so that it publishes nothing until it is
// resumed. Who was published to goes on, and time to soak passes.
func (r Rollout) Pause(a Act) (Rollout, error) { return r.enter("pause", Paused, a) }

// Resume returns r, which is paused, so that it goes on.
func (r Rollout) Resume(a Act) (Rollout, error) {
	if r.State != Paused {
		return r, r.refuse("resume", ErrState)
	}
	return r.enter("resume", Running, a)
}

// Abort returns r, which has not ended, ended where it is: every host keeps what
// it was assigned last.
func (r Rollout) Abort(a Act) (Rollout, error) { return r.enter("abort", Aborted, a) }

// Supersede returns r, which has not ended, ended because another rollout takes its
// place.
func (r Rollout) Supersede(a Act) (Rollout, error) { return r.enter("supersede", Superseded, a) }

// Promotion returns what [Rollout.Promote] would do now; zero if that is nothing.
func (r Rollout) Promotion(f Fleet, now time.Time) proto.RolloutPromotion {
	p, err := view{r, f, now}.promotion()
	if err != nil {
		return proto.RolloutPromotion{}
	}
	return p
}

// promotion returns what may be promoted now, or why there is nothing.
func (v view) promotion() (proto.RolloutPromotion, error) {
	p := proto.RolloutPromotion{Wave: v.Wave}
	if v.State != Running || v.Wave == len(v.Waves) {
		return p, ErrState
	}
	wave := v.Waves[v.Wave]
	soaked, through := v.soaked(wave)
	switch {
	case v.unapproved(wave):
		p.Ends = proto.RolloutPauseApproval
	case v.deferred(wave) != "":
		return p, errDeferred
	case wave.Started.IsZero() || !through || !v.now.Before(soaked):
		return p, ErrNoPause
	case wave.canarying():
		p.Ends = proto.RolloutPauseCanarySoak
	default:
		p.Ends = proto.RolloutPauseSoak
	}
	return p, nil
}

// Promote returns r, which is running, with what it waits for now and a person may
// spare it: its approval and that of its wave, the soak of a canary, or the soak of
// a wave. Verdicts, windows, holds and freezes are waited for all the same. Unless only
// is nil, it has to be that: whoever asks again promotes nothing that came after it.
func (r Rollout) Promote(f Fleet, only *proto.RolloutPromotion, a Act) (Rollout, error) {
	p, err := view{r, f, a.At}.promotion()
	if err == nil && only != nil && *only != p {
		err = fmt.Errorf("%w: %s", ErrOther, p.Ends.Of(r.Waves[p.Wave].Name))
	}
	if err != nil {
		return r, r.refuse("promote", err)
	}
	next := r.clone()
	wave := &next.Waves[p.Wave]
	switch p.Ends {
	case proto.RolloutPauseApproval:
		next.Approved, wave.Approved = a, a
	case proto.RolloutPauseCanarySoak:
		wave.Widened = a.At
	case proto.RolloutPauseSoak:
		wave.Ended = a.At
		next.Wave++
	}
	return next, nil
}

// Retry returns r, which is halted, so that it goes on, from the first wave in which
// a host failed or fell silent, by publishing to these once more. Where one of them
// is a canary the others of its wave wait for it again.
func (r Rollout) Retry(a Act) (Rollout, error) {
	if r.State != Halted {
		return r, r.refuse("retry", ErrState)
	}
	next := r.clone()
	bad := func(h proto.HostName) bool { c := r.Hosts[h].charge(); return c == failure || c == silence }
	for h, p := range r.Hosts {
		if bad(h) {
			next.Hosts[h] = p.again(a.At)
		}
	}
	for i := range next.Waves {
		wave := &next.Waves[i]
		if slices.ContainsFunc(wave.Hosts, bad) {
			next.Wave = min(next.Wave, i)
		}
		if slices.ContainsFunc(wave.Canary, bad) {
			wave.Widened = time.Time{}
		}
		if i >= next.Wave {
			wave.Ended = time.Time{}
		}
	}
	return next.enter("retry", Running, a)
}

// revertWave is the name of the wave that goes back.
const revertWave = "revert"

// Revert returns r, which may be done or aborted, but not superseded, so that those
// who were published to get back what they had before.
func (r Rollout) Revert(a Act) (Rollout, error) {
	if r.State == Reverted {
		return r, r.refuse("revert", ErrState)
	}
	return r.back("revert", a)
}

// Reopen returns r, which is reverted, so that those go back, too, who were held until now.
func (r Rollout) Reopen(a Act) (Rollout, error) {
	if r.State != Reverted {
		return r, r.refuse("reopen", ErrState)
	}
	return r.back("reopen", a)
}

func (r Rollout) back(act string, a Act) (Rollout, error) {
	next := r.clone()
	if err := next.goBack(a); err != nil {
		return r, r.refuse(act, err)
	}
	return next, nil
}

// goBack makes r, whose waves and hosts are its own, revert. Instead of the waves
// that were not started it gets one of those who have something to go back to, and
// one of the controller's own host.
func (r *Rollout) goBack(a Act) error {
	if err := r.turn(Reverting, a); err != nil {
		return err
	}
	back := Wave{Name: revertWave}
	for i, wave := range r.Waves {
		if wave.Started.IsZero() {
			r.Waves = r.Waves[:i]
			break
		}
		if wave.Ended.IsZero() {
			r.Waves[i].Ended = a.At
		}
		if limit := wave.MaxInFlight; !limit.IsZero() && (back.MaxInFlight.IsZero() || wave.limit() < back.limit()) {
			back.MaxInFlight = spec.Count(wave.limit())
		}
	}
	own := Wave{Name: r.Own.String()}
	for h, p := range r.Hosts {
		p, ok := p.reverted(a.At)
		if !ok {
			continue
		}
		r.Hosts[h] = p
		if h == r.Own {
			own.Hosts = append(own.Hosts, h)
		} else {
			back.Hosts = append(back.Hosts, h)
		}
	}
	slices.SortFunc(back.Hosts, proto.HostName.Compare)
	r.Wave = len(r.Waves)
	r.Waves = append(r.Waves, back, own)
	if len(own.Hosts) == 0 {
		r.Waves = r.Waves[:r.Wave+1]
	}
	return nil
}

// enter returns r in state s, if it may be entered.
func (r Rollout) enter(act string, s State, a Act) (Rollout, error) {
	next := r
	if err := next.turn(s, a); err != nil {
		return r, r.refuse(act, err)
	}
	return next, nil
}

func (r Rollout) refuse(act string, err error) error {
	return fmt.Errorf("%s rollout %s, which is %s: %w", act, r.ID, r.State, err)
}

// Refuse notes why nothing can be published for a host, for as long as it waits for what
// it is to get: nobody waits for it.
func (r Rollout) Refuse(host proto.HostName, why string) Rollout {
	r = r.clone()
	p := r.Hosts[host]
	p.Refused = why
	r.Hosts[host] = p
	return r
}
