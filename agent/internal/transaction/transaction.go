// Package transaction carries one deployment from a fetched system to a
// committed one, or back.
//
// It is the guard of the host. It runs in a process of its own, from the
// proven system's binary, and may die at any instant: the record is saved
// before and after every effect, every effect can be repeated, and [Run] goes
// on from whatever record it finds. Until the decision to commit is on disk,
// the profile and the boot default name the proven system. From a decision on,
// to commit or to go back, it only goes forward.
package transaction

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// Options is what a transaction needs.
type Options struct {
	Host  Host                                             // required
	Store Store                                            // required
	Log   *slog.Logger                                     // required
	Now   func() time.Time                                 // defaults to time.Now
	Wait  func(ctx context.Context, d time.Duration) error // waits, or returns ctx's error; defaults to a timer

	// Undone says why what is not decided goes back, whatever its record says: [BringBack]
	// was begun. Empty means that it was not.
	Undone string
}

// How often things are tried.
const (
	// maxActivations is how often the activation of the new system is begun. One
	// that was interrupted is continued by running it again.
	maxActivations = 3
	// maxReactivations bounds the same for the proven system over all runs of a
	// transaction that is killed again and again.
	maxReactivations = 10
	// maxTries is how often anything may fail in one run of a transaction.
	maxTries = 3
	// maxBoots is how often a host is rebooted for one purpose.
	maxBoots = 2
	// busyPatience is how long somebody else's switch is waited for.
	busyPatience = 10 * time.Minute
	// profileTimeout bounds one change of the profile, which waits for Nix's own
	// locks, and loaderTimeout one of the boot default, on a slow boot partition.
	profileTimeout = 2 * time.Minute
	loaderTimeout  = 10 * time.Minute
	// agentTimeout bounds one restart of the agent outside of a judgement.
	agentTimeout = 2 * time.Minute
	// retryPause is between two tries.
	retryPause = 2 * time.Second
)

// ErrNotStarted is returned for a record that is not fetched yet: it has
// nothing for a transaction to do.
var ErrNotStarted = errors.New("deployment is not fetched")

// ErrWaited is wrapped by the error of [Run] where it waited for the end of the boot
// before it began: whether it still shall begin is to be decided anew.
var ErrWaited = errors.New("waited for the end of the boot, and did not begin")

// Run settles d and returns it in a terminal phase, or in one in which it waits
// for somebody else: staged, or armed for a boot that comes when it comes. A d
// that is there already is returned as it is.
//
// It returns an error when it could not go on, because ctx ended, or because
// nothing could be observed or saved. The record on disk then says how far it
// came; run it again.
func Run(ctx context.Context, d deployment.Deployment, o Options) (deployment.Deployment, error) {
	t := newRun(d, o)
	for {
		if t.d.Terminal() {
			return t.d, t.end(ctx)
		}
		if waits, err := t.waits(); waits || err != nil {
			return t.d, err
		}
		s, err := t.step(ctx)
		if i, seen := errors.AsType[*intrusion](err); seen {
			s, err = t.overtaken(ctx, i)
		}
		if err != nil {
			return t.d, fmt.Errorf("deployment %s, %s: %w", t.d.ID, t.d.Phase, err)
		}
		if err := t.advance(ctx, s); err != nil {
			return t.d, err
		}
	}
}

// waits reports whether there is nothing for a transaction to do now.
func (t *transaction) waits() (bool, error) {
	if t.d.Phase == proto.PhaseStaged {
		return true, nil
	}
	if !t.d.Parked {
		return false, nil
	}
	boot, err := t.Host.BootID()
	if err != nil {
		return false, fmt.Errorf("read boot id: %w", err)
	}
	return t.d.AwaitsBoot(boot), nil
}

// A transaction is one run over a record. d is what is on disk, or will be before
// anything is touched.
type transaction struct {
	Options
	d deployment.Deployment
}

// newRun returns a run over d.
func newRun(d deployment.Deployment, o Options) *transaction {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	return &transaction{Options: o, d: d}
}

// step does what d's phase asks for and says what comes next.
func (t *transaction) step(ctx context.Context) (deployment.Step, error) {
	if t.Undone != "" && live(t.d.Phase) {
		return because(proto.PhaseRollingBack, proto.ReasonInterrupted, "%s", t.Undone), nil
	}
	switch t.d.Phase {
	case proto.PhaseFetched:
		return t.begin(ctx)
	case proto.PhaseActivating:
		return t.activate(ctx)
	case proto.PhaseProbation:
		return t.judge(ctx)
	case proto.PhaseCommitting:
		return t.commit(ctx)
	case proto.PhaseRollingBack:
		return t.rollBack(ctx)
	case proto.PhaseStaging:
		return t.stage(ctx)
	case proto.PhaseArmed:
		return t.arm(ctx)
	case proto.PhaseNone, proto.PhaseAccepted, proto.PhaseStaged, proto.PhaseTried,
		proto.PhaseCommitted, proto.PhaseRolledBack, proto.PhaseInconclusive, proto.PhaseRollbackFailed,
		proto.PhaseFailed, proto.PhaseRefused, proto.PhaseSuperseded:
		return deployment.Step{}, ErrNotStarted
	}
	return deployment.Step{}, ErrNotStarted
}

func (t *transaction) advance(ctx context.Context, s deployment.Step) error {
	if s.Phase == "" {
		return nil // the same once more
	}
	from := t.d.Phase
	s.Time = t.Now()
	d, err := t.d.Advance(s)
	if err != nil {
		return err
	}
	if d.Phase == proto.PhaseProbation {
		if d.Uptime, err = t.Host.Uptime(); err != nil {
			return err
		}
	}
	if d.Phase == proto.PhaseActivating {
		t.d = d // saved with the note that the activation begins: until then nothing is touched
	} else if err := t.save(d); err != nil {
		return err
	}
	advanced := []any{"deployment", d.ID, "from", from, "to", d.Phase}
	t.Log.InfoContext(ctx, "deployment advanced", append(advanced, deployment.Why(s.Reason, s.Message)...)...)
	return nil
}

// save makes d durable, and only then t's.
func (t *transaction) save(d deployment.Deployment) error {
	if err := t.Store.Save(d); err != nil {
		return &SaveError{Deployment: d.ID, Err: err}
	}
	t.d = d
	return nil
}

// retry runs f, each time for at most limit, until it succeeds, has failed too often, or
// ctx ended. That somebody else is switching is no failure for a while.
func (t *transaction) retry(ctx context.Context, what string, limit time.Duration, f func(ctx context.Context) error) error {
	patience := t.Now().Add(busyPatience)
	for n := 1; ; n++ {
		err := bounded(ctx, limit, f)
		if err == nil {
			return nil
		}
		if errors.Is(err, activation.ErrBusy) && t.Now().Before(patience) {
			n--
		}
		if n == maxTries || ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		t.Log.WarnContext(ctx, "failed and is tried again", "deployment", t.d.ID, "action", what, "try", n, "err", err)
		if err := t.Wait(ctx, retryPause); err != nil {
			return err
		}
	}
}

// rebooted reports whether the host was booted since the activation began.
func (t *transaction) rebooted() (bool, error) {
	id, err := t.Host.BootID()
	if err != nil {
		return false, fmt.Errorf("read boot id: %w", err)
	}
	return id != t.d.BootID, nil
}

// onProbation returns how long the probation lasts by now, in the boot in which it
// began.
func (t *transaction) onProbation() (time.Duration, error) {
	if t.d.Uptime == 0 {
		return t.Now().Sub(t.d.Since), nil
	}
	now, err := t.Host.Uptime()
	return now - t.d.Uptime, err
}

// to is a step without a reason of its own.
func to(p proto.Phase) deployment.Step { return deployment.Step{Phase: p} }

// because is a step with its reason.
func because(p proto.Phase, r proto.Reason, format string, args ...any) deployment.Step {
	return deployment.Step{Phase: p, Reason: r, Message: fmt.Sprintf(format, args...)}
}

func revertedByPowerLoss() deployment.Step {
	return because(proto.PhaseRollingBack, proto.ReasonPowerLoss, "the host was booted in the middle of the deployment")
}

func bounded(ctx context.Context, d time.Duration, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
