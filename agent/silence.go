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
	"kedge/agent/internal/systemd"
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
	// resortMaxPause is between two times that it is asked; the pauses grow up to that.
	resortMaxPause = 10 * time.Minute
)

// A silence is what the reconciler knows of a host that went back.
type silence struct {
	deployment string    // whose way back it was
	over       bool      // there was contact since, or nothing is left to resort to
	since      time.Time // somebody was last heard of
	asked      time.Time // who might answer
	after      time.Duration
	spent      bool      // is on the disk
	failures   int       // reboots that did not begin
	again      time.Time // when to ask for the next; zero before the first
}

// lasts returns for how long nobody must have answered until a reboot is asked for.
func (s *silence) lasts() time.Duration { return max(s.after, s.again.Sub(s.since)) }

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
		a.tell(ctx, slog.LevelWarn, "that there was contact is not kept", a.spendResort())
		return
	}
	if o.Now.Sub(s.asked) >= probeInterval || o.Now.Sub(s.since) >= s.lasts() {
		s.asked = o.Now
		if link, _ := a.Link.Watch(); link.Connected || a.Endpoints.Answers(ctx) {
			s.since = a.Now()
		}
	}
	o.Silence = Silence{Since: s.since, After: s.lasts()}
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
// not be begun is none, and is tried again, less and less often. It is asked for to the
// end, also while the agent stops: as a rule the host goes down then.
func (a *Agent) resort(ctx context.Context, r deployment.Deployment) error {
	s := &a.silence
	if err := a.spendAndReboot(ctx); err != nil {
		s.failures++
		s.again = a.Now().Add(backoff(readRetry, resortMaxPause, s.failures))
		return err
	}
	s.over = true
	a.Log.ErrorContext(ctx, "the host reboots as a last resort", "deployment", r.ID)
	err := a.Files.SaveResort(statefile.Resort{Deployment: r.ID, Rebooted: a.Now()})
	message := fmt.Sprintf("nobody answers since deployment %s went back; the host reboots", r.ID)
	err = errors.Join(err, a.note(of(r, proto.ReasonLastResort, message)))
	a.tell(ctx, slog.LevelError, "the last resort is not told", err)
	return nil
}

// spendAndReboot has the last resort be spent, on the disk, before the reboot is asked
// for: a host must not reboot again and again because its agent died, or its disk was
// full, right after. An agent that is killed in between has lost it untried, since nobody
// can tell that from a reboot that begins: then the host stays as it is. It is
// taken back only if systemd refuses, which is known to have begun nothing. If systemd
// says nothing, it stays spent, and this agent alone goes on asking: a reboot ends it.
func (a *Agent) spendAndReboot(ctx context.Context) error {
	if err := a.spendResort(); err != nil {
		return err
	}
	err := a.startReboot(context.WithoutCancel(ctx))
	if err == nil || mayHaveBegun(err) {
		return err
	}
	a.silence.spent = false
	return errors.Join(err, a.Files.SaveResort(statefile.Resort{}))
}

// spendResort has the disk say that the deployment has no last resort any more, unless it
// does.
func (a *Agent) spendResort() error {
	if a.silence.spent {
		return nil
	}
	err := a.Files.SaveResort(statefile.Resort{Deployment: a.silence.deployment})
	a.silence.spent = err == nil
	return err
}

// mayHaveBegun reports whether a reboot that failed to begin with err may have.
func mayHaveBegun(err error) bool {
	return errors.Is(err, systemd.ErrUnanswered) || errors.Is(err, context.DeadlineExceeded)
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
