package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

var _ control.Agent = (*Agent)(nil)

// An ask is somebody on the host who wants the reconciler to look now, at the
// desired state, too, if read is set, and to do something before. The answer
// comes when it has looked and acted: why that could not be done or read.
type ask struct {
	read   bool
	do     func(ctx context.Context) error // may be nil
	answer chan error                      // with room for one; made by [Agent.ask]
}

func (a *Agent) ask(ctx context.Context, q ask) error {
	q.answer = make(chan error, 1)
	select {
	case a.asks <- q:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-q.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connectPatience is how long somebody who asks for the desired state waits for a
// connection: an agent that was just started has none yet.
const connectPatience = 5 * time.Second

// Reconcile implements [control.Agent].
func (a *Agent) Reconcile(ctx context.Context) error {
	moment, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	_ = a.Link.AwaitConnected(moment) // who reads without one says so
	if err := a.ask(ctx, ask{read: true}); err != nil {
		return fmt.Errorf("read the desired state: %w", err)
	}
	return nil
}

// Rested implements [control.Agent].
func (a *Agent) Rested(ctx context.Context) (proto.Status, error) {
	for {
		v, changed := a.watch()
		if v.decidedOnDesired() && v.decision.Action == ActionRest && !v.decision.passing() {
			return a.Status(), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return proto.Status{}, ctx.Err()
		}
	}
}

// passing reports whether d is a rest that ends by itself, soon.
func (d Decision) passing() bool {
	return d.Reason == proto.ReasonRetrying || d.Reason == proto.ReasonVerifying
}

// Suspend implements [control.Agent]. When it returns nil, nothing is being begun, or
// fetched but for what a disk holds up, which does not go on.
func (a *Agent) Suspend(ctx context.Context, r control.SuspendRequest) (statefile.Suspension, error) {
	s := r.Suspension(a.Now())
	if err := a.Files.Suspend(s); err != nil {
		return statefile.Suspension{}, err
	}
	said := []any{"by", r.By}
	if !s.Until.IsZero() {
		said = append(said, "until", s.Until)
	}
	a.Log.InfoContext(ctx, "suspended", append(said, because(r.Reason)...)...)
	return s, errors.Join(
		a.note(proto.Event{Reason: proto.ReasonSuspended, Message: "suspended " + s.String()}),
		a.ask(ctx, ask{}),
	)
}

// because returns what a line of the log says of why somebody wants something: nothing if
// he does not say.
func because(reason string) (attributes []any) {
	if reason == "" {
		return nil
	}
	return []any{"reason", reason}
}

// Resume implements [control.Agent].
func (a *Agent) Resume(ctx context.Context, by string) error {
	if err := a.Files.Resume(); err != nil {
		return err
	}
	a.Log.InfoContext(ctx, "resumed", "by", by)
	return errors.Join(a.note(proto.Event{Message: "resumed by " + by}), a.ask(ctx, ask{}))
}

// Lift implements [control.Agent].
func (a *Agent) Lift(ctx context.Context, r control.LiftRequest) (lifted []statefile.Quarantine, err error) {
	if lifted, err = r.Lift(a.Files, a.Now()); err != nil {
		return nil, err
	}
	for _, q := range lifted {
		a.Log.InfoContext(ctx, "lifted", "by", r.By, "toplevel", q.Toplevel)
		err = errors.Join(err, a.note(proto.Event{Toplevel: q.Toplevel, Message: "lifted by " + r.By + ": it may be tried again"}))
	}
	return lifted, errors.Join(err, a.ask(ctx, ask{}))
}

// History implements [control.Agent].
func (a *Agent) History() (statefile.History, error) { return a.Files.History() }

// remember puts a deployment that ended into the history. That this does not
// work keeps nobody from anything; it is tried again at the next look.
func (a *Agent) remember(ctx context.Context, d deployment.Deployment) {
	if !d.Phase.Terminal() || a.remembered == d.ID {
		return
	}
	p := statefile.NewPast(d)
	err := a.Files.Remember(p, func(h statefile.History) error { return a.endLoop(ctx, h, p) }) // what is remembered was looked at
	if aside, is := errors.AsType[*statefile.AsideError](err); is {
		err = errors.Join(err, a.note(proto.Event{Reason: proto.ReasonStateUnreadable, Message: aside.Error()}))
	}
	a.tell(ctx, slog.LevelWarn, "history could not be kept", err)
	if err == nil {
		a.remembered = d.ID
	}
}

// override tells, once, that o's deployment begins although somebody holds it
// back: that was so for long enough.
func (a *Agent) override(o Observation, by []statefile.Veto) error {
	what := o.Record.ID + " " + string(o.Record.Phase)
	if len(by) == 0 || o.Confirmed || a.overridden == what {
		return nil
	}
	message := fmt.Sprintf("begins after %s in spite of %s", o.InhibitMax, everybody(by))
	if err := a.note(of(o.Record, proto.ReasonInhibited, message)); err != nil {
		return err
	}
	a.overridden = what
	return nil
}

// suspension returns what keeps the agent from beginning anything at now, if
// something does. What cannot be read counts, and is returned beside the error:
// nobody knows what it says.
func suspension(files statefile.Dir, now time.Time) (*statefile.Suspension, error) {
	s, err := files.Suspension()
	switch {
	case err != nil:
		return &statefile.Suspension{Reason: err.Error()}, err
	case s.InForce(now):
		return &s, nil
	}
	return nil, nil //nolint:nilnil // not suspended, and sure of it
}
