package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// A DriftPolicy says what becomes of a host on which somebody else made another
// system run, or registered one, than what was proven. The zero value adopts.
type DriftPolicy string

// The policies.
const (
	DriftAdopt   DriftPolicy = "adopt"   // what runs and is registered is taken as proven, anything else left
	DriftRestore DriftPolicy = "restore" // what was proven is brought back
	DriftReport  DriftPolicy = "report"  // it is left alone, and nothing deployed meanwhile
)

// DriftConfig says what becomes of what somebody else did to the system.
type DriftConfig struct {
	Policy DriftPolicy `config:"policy"`
	// Settle is how long nothing must have changed before what was proven is
	// brought back.
	Settle time.Duration `config:"settle"`
}

func (c DriftConfig) validate(p *problems) {
	policies := []DriftPolicy{DriftAdopt, DriftRestore, DriftReport}
	p.check(slices.Contains(policies, c.Policy), "drift.policy: must be one of %s, got %q", policies, c.Policy)
	p.atLeast("drift.settle", c.Settle, minDuration)
}

// Bounds of what is brought back again and again: whoever changes the system
// each time may be another program.
const (
	driftTries  = 3
	driftWithin = time.Hour
	// driftRest is how long it is left alone then, unless somebody asks.
	driftRest = 24 * time.Hour
)

// A Drift is what an observation knows of how the host came to differ from what
// was proven.
type Drift struct {
	DriftConfig
	Since time.Time // it is as it is since then, as far as was seen
	// Switching is true while somebody else's switch runs.
	Switching bool
	// Restored is when what was proven was brought back in place of the same
	// system, oldest first.
	Restored []time.Time
}

// adopts reports whether what runs and is registered is taken as proven. What
// shall run anyway is, whatever the policy.
func (o Observation) adopts() bool {
	adopt := o.Drift.Policy != DriftRestore && o.Drift.Policy != DriftReport
	return adopt || o.Proven.Toplevel.IsZero() || o.Order != nil && o.Order.Release.Toplevel == o.Systems.Toplevel()
}

// decideDrift is for a host that differs from what was proven, where that is not
// adopted.
func decideDrift(o Observation) Decision {
	if o.Drift.Policy != DriftRestore {
		differ := differences(o.Systems, o.Proven)
		then := "run `nixos-rebuild switch`, or switch to the one that shall stay"
		if o.Drift.Policy == DriftReport {
			then = "`kedge-agent rollback` brings back what was proven"
		}
		return Decision{Action: ActionRest, Reason: proto.ReasonNotProven, Message: differ + ": " + then}
	}
	return goBack(o)
}

// goBack brings back what was proven, if it is known what for.
func goBack(o Observation) Decision {
	if _, err := instead(o.Systems, o.Proven); err != nil {
		return Decision{Action: ActionRest, Reason: proto.ReasonNotProven, Message: err.Error()}
	}
	return bringBack(o, differences(o.Systems, o.Proven), proto.ReasonNotProven, proto.ReasonDriftRestored)
}

// bringBack begins to bring back what was proven, for why, once nothing has changed
// for long enough. It rests as meanwhile until then.
func bringBack(o Observation, differ string, meanwhile, why proto.Reason) Decision {
	rest := Decision{Action: ActionRest, Reason: meanwhile}
	if at, loops := o.Drift.loops(o.Now); loops && !o.Rung {
		rest.Reason, rest.Again = proto.ReasonDriftLoop, at
		rest.Message = fmt.Sprintf("%s: what was proven was brought back %d times; it is left alone until somebody asks", differ, driftTries)
		return rest
	}
	if o.Drift.Switching {
		rest.Message = differ + ": somebody else's switch is waited for"
		return rest
	}
	if at := o.Drift.Since.Add(o.Drift.pause(o.Now)); o.Now.Before(at) {
		rest.Message, rest.Again = differ+": what was proven is brought back at "+at.UTC().Format(time.RFC3339), at
		return rest
	}
	return Decision{Action: ActionRestore, Reason: why, Message: differ}
}

// pause is how long nothing must have changed: longer each time within an hour.
func (d Drift) pause(now time.Time) time.Duration {
	lately := 0
	for _, at := range d.Restored {
		if now.Sub(at) < driftWithin {
			lately++
		}
	}
	return backoff(d.Settle, max(d.Settle, driftWithin), lately+1)
}

// loops reports whether bringing back does not last, and until when that counts.
// What is in the future was before the clock was set back: it counts no more.
func (d Drift) loops(now time.Time) (until time.Time, loops bool) {
	n := len(d.Restored)
	if n < driftTries {
		return time.Time{}, false
	}
	last := d.Restored[n-1]
	until = last.Add(driftRest)
	return until, last.Sub(d.Restored[n-driftTries]) <= driftWithin && now.Before(until) && !now.Before(last)
}

// A driftSeen is what the reconciler saw last of systems that differ.
type driftSeen struct {
	systems proto.Systems
	since   time.Time
}

// observeDrift adds what is known of how o's systems came to differ.
func (a *Agent) observeDrift(ctx context.Context, o *Observation) {
	o.Drift = Drift{DriftConfig: a.Config.Drift}
	if !o.astray() {
		a.drift = driftSeen{}
		return
	}
	if a.drift.since.IsZero() || a.drift.systems != o.Systems || o.Now.Before(a.drift.since) {
		a.drift = driftSeen{systems: o.Systems, since: o.Now}
	}
	o.Drift.Since = a.drift.since
	o.Drift.Switching = a.Systems.Switching()
	if o.Drift.Policy != DriftRestore {
		return
	}
	h, err := a.Files.History()
	a.tell(ctx, slog.LevelWarn, "the history cannot be read; it is not known how often what was proven was brought back", err)
	if d, err := restoring(deployment.Deployment{Proven: o.Proven}, o.Systems); err == nil {
		o.Drift.Restored = restored(h, d.Toplevel)
	}
}

// restored returns when what was proven was brought back in place of system.
func restored(h statefile.History, system proto.StorePath) (at []time.Time) {
	for _, p := range h.Deployments {
		restores := []proto.Reason{proto.ReasonDriftRestored, proto.ReasonSpecialised}
		if len(p.Steps) > 0 && slices.Contains(restores, p.Steps[0].Reason) && p.Toplevel == system {
			at = append(at, p.Started)
		}
	}
	return at
}

// restore begins to bring back what was proven. That it cannot be gone to is an
// end, too.
func (a *Agent) restore(ctx context.Context, o Observation, why Decision) error {
	d, err := restoring(o.after(deployment.Deployment{
		Origin: deployment.OriginDrift, Reason: why.Reason, Message: why.Message, Proven: o.Proven,
	}), o.Systems)
	if err != nil {
		return err
	}
	if d, _, err = a.prepare(ctx, d); err != nil {
		if ctx.Err() != nil || d.Phase != proto.PhaseAccepted {
			return err
		}
		if o.runsTried() {
			d.From = o.Systems.Current
		}
		if errors.Is(err, closure.ErrGone) { // there is no way back: what runs is the policy's
			d.Lost, d.LostTo = false, nil
		}
		if r := o.Record; r.Origin == d.Origin && r.Phase == proto.PhaseFailed && r.Toplevel == d.Toplevel {
			d.Attempt = r.Attempt + 1
		}
		failed := deployment.Step{Phase: proto.PhaseFailed, Time: a.Now(), Reason: rejection(err), Message: err.Error()}
		if d, err = d.Advance(failed); err != nil {
			return err
		}
	}
	return a.edit(func(on deployment.Deployment) (deployment.Deployment, error) {
		if on.ID != o.Record.ID || !on.Terminal() {
			return on, errOvertaken
		}
		d.Leased = a.owesLease(on)
		return d, nil
	})
}

// drifted reports whether something else runs, or is registered, than what was
// proven, in whatever specialisation.
func drifted(s proto.Systems, p deployment.Proven) bool {
	return s.Toplevel() != p.Toplevel || s.Profile != p.Toplevel
}

// ofProven returns the toplevel that runs, which is p's also if another one is
// registered.
func ofProven(s proto.Systems, p deployment.Proven) proto.StorePath {
	if s.Current == p.System() {
		return p.Toplevel
	}
	return s.Toplevel()
}

// instead returns the one system that runs, or is registered, in the place of
// what was proven.
func instead(s proto.Systems, p deployment.Proven) (proto.StorePath, error) {
	var found proto.StorePath
	for _, other := range []proto.StorePath{ofProven(s, p), s.Profile} {
		if other == p.Toplevel || other.IsZero() {
			continue
		}
		if !found.IsZero() && found != other {
			return proto.StorePath{}, fmt.Errorf("%s: a person has to choose", differences(s, p))
		}
		found = other
	}
	if found.IsZero() || p.Toplevel.IsZero() {
		return proto.StorePath{}, fmt.Errorf("%s: a person has to choose", differences(s, p))
	}
	return found, nil
}

// differences says what runs, is registered or was booted in the place of what
// was proven.
func differences(s proto.Systems, p deployment.Proven) string {
	parts := []string{"proven is " + cmp.Or(p.Toplevel.Base(), "nothing")}
	for _, other := range []struct {
		what string
		path proto.StorePath
	}{{"runs", ofProven(s, p)}, {"registered is", s.Profile}, {"booted was", s.Booted}} {
		if other.path != p.Toplevel {
			parts = append(parts, other.what+" "+other.path.Base())
		}
	}
	return strings.Join(parts, ", ")
}
