package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// Endpoints are all those whom the host could hear from: NATS servers and binary
// caches.
type Endpoints interface {
	// Answers reports whether one of them answers, be it with a refusal. It takes
	// seconds.
	Answers(ctx context.Context) bool
}

// A Silence is what an observation knows of a host that went back and hears from
// nobody. The zero value is for one to which nothing is left to resort, or that
// must not.
type Silence struct {
	Since time.Time     // somebody was last heard of, as far as this process knows
	After time.Duration // how long it lasts until the host reboots
}

// silent reports whether o's host has a last resort, which nobody holds back.
func (o Observation) silent() bool {
	return !o.Silence.Since.IsZero() && o.Suspended == nil && !o.Verifying && len(o.RebootVetoes) == 0
}

// whileSilent is for a host that hears from nobody and rests as d says.
func whileSilent(o Observation, d Decision) Decision {
	at := o.Silence.Since.Add(o.Silence.After)
	if !o.Now.Before(at) {
		return Decision{
			Action: ActionResort, Reason: proto.ReasonLastResort,
			Message: fmt.Sprintf("went back, and nobody answers since %s", o.Silence.Since.UTC().Format(time.RFC3339)),
		}
	}
	if d.Again.IsZero() || at.Before(d.Again) {
		d.Again = at
	}
	if d.Message == "" && o.Now.Sub(o.Silence.Since) > 2*probeInterval {
		d.Message = fmt.Sprintf("nobody answers; the host reboots at %s as a last resort", at.UTC().Format(time.RFC3339))
	}
	return d
}

const (
	// probeInterval is how often those are asked who might answer.
	probeInterval = time.Minute
	// rebootPatience is how long systemd may take to say that the host goes down.
	rebootPatience = 15 * time.Second
)

// A silence is what the reconciler knows of a host that went back.
type silence struct {
	deployment string    // whose way back it was
	over       bool      // there was contact since, or nothing is left to resort to
	since      time.Time // somebody was last heard of
	asked      time.Time // who might answer
	after      time.Duration
}

// observeSilence adds whether o's host has gone back and hears from nobody since.
// An answer of whoever it is begins the wait anew; contact ends it for good.
func (a *Agent) observeSilence(ctx context.Context, o *Observation) {
	if !a.Config.Reboot.LastResort || !wentBack(o.Record) || o.Record.BootID != o.BootID {
		return
	}
	s := &a.silence
	if s.deployment != o.Record.ID {
		spent, err := a.resortSpent(o.Record)
		a.tell(ctx, slog.LevelWarn, "it is not known whether there is a last resort; there is none", err)
		*s = silence{
			deployment: o.Record.ID, over: spent || err != nil,
			since: o.Now, asked: o.Now, after: jitter(a.Config.Reboot.LastResortAfter),
		}
	}
	if s.over {
		return
	}
	if a.heard.After(s.since) {
		s.over = true
		err := a.Files.SaveResort(statefile.Resort{Deployment: s.deployment})
		a.tell(ctx, slog.LevelWarn, "that there was contact is not kept", err)
		return
	}
	if o.Now.Sub(s.asked) >= probeInterval || o.Now.Sub(s.since) >= s.after {
		s.asked = o.Now
		if link, _ := a.Link.Watch(); link.Connected || a.Endpoints.Answers(ctx) {
			s.since = a.Now()
		}
	}
	o.Silence = Silence{Since: s.since, After: s.after}
}

// wentBack reports whether r ended on the way back, which has not yet led through a
// boot of ours, so that a boot leads to the proven system: where the way back failed
// after another one was registered, that may be the boot default still.
func wentBack(r deployment.Deployment) bool {
	back := []proto.Phase{proto.PhaseRolledBack, proto.PhaseInconclusive, proto.PhaseRollbackFailed}
	return slices.Contains(back, r.Phase) && r.RollbackBoots == 0 && (r.Phase != proto.PhaseRollbackFailed || !r.Registered)
}

// resortSpent reports whether r has no last resort any more. A host that never had
// contact has lost none.
func (a *Agent) resortSpent(r deployment.Deployment) (bool, error) {
	last, err := a.Files.Resort()
	if err != nil {
		return true, err
	}
	floor, err := a.Files.Floor()
	return last.Deployment == r.ID || floor.Serial == 0, err
}

// resort reboots the host, once for each deployment, whatever comes of that. What could
// not be begun is none, and may be tried again: that it is asked for is on the disk
// before, and taken back. It is asked for to the end, also while the agent stops: as a
// rule the host goes down then.
func (a *Agent) resort(ctx context.Context, r deployment.Deployment) error {
	spent := statefile.Resort{Deployment: r.ID}
	if err := a.Files.SaveResort(spent); err != nil {
		return err
	}
	if err := a.startReboot(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(err, a.Files.SaveResort(statefile.Resort{}))
	}
	a.silence.over = true
	a.Log.ErrorContext(ctx, "the host reboots as a last resort", "deployment", r.ID)
	spent.Rebooted = a.Now()
	err := a.Files.SaveResort(spent)
	message := fmt.Sprintf("nobody answers since deployment %s went back; the host reboots", r.ID)
	err = errors.Join(err, a.note(of(r, proto.ReasonLastResort, message)))
	a.tell(ctx, slog.LevelError, "the last resort is not told", err)
	return nil
}

// startReboot has the host go down, and says why it does not begin to.
func (a *Agent) startReboot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rebootPatience)
	defer cancel()
	return a.Power.StartReboot(ctx)
}

// resorted reports whether the host was rebooted as a last resort after its last
// deployment.
func (a *Agent) resorted() bool {
	record, err := a.Files.Deployment()
	if err != nil {
		return false
	}
	last, err := a.Files.Resort()
	return err == nil && last.Deployment == record.ID && !last.Rebooted.IsZero()
}
