package transaction

import (
	"context"
	"errors"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/check"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/health"
	"kedge/proto"
)

// ErrNoAnswer says that whoever could do what was asked for does not answer; not that
// they refused.
var ErrNoAnswer = errors.New("nobody answers")

// A Host is the machine that a transaction acts on. Every method may be called
// again after a crash in the middle of it.
type Host interface {
	// BootID returns the identity of the running boot.
	BootID() (string, error)

	// Uptime returns how long this boot is up, by a clock that nobody sets, and that
	// goes on while the host sleeps.
	Uptime() (time.Duration, error)

	// Systems reads what runs, what was booted and what the profile names, as
	// they are now. If what runs or what the profile names is no toplevel, the
	// error is a [*profile.LinkError].
	Systems() (proto.Systems, error)

	// Baseline returns what is wrong with the units now. Services that run count
	// as failing all the time if they failed within that time before now.
	Baseline(ctx context.Context, within time.Duration) (deployment.Baseline, error)

	// Try tries each of the checks once, all at the same time, and returns their
	// results in the same order. When ctx ends, what is not decided has failed.
	Try(ctx context.Context, s check.Subject, checks []deployment.Check) []proto.CheckResult

	// Activate runs toplevel's switch-to-configuration with mode test, and says
	// what came of it. With force, pre-switch checks are not asked. The error is
	// for when nothing can be said; an activation that fails is a Result. It
	// returns when ctx ends, and no activation runs on after that.
	Activate(ctx context.Context, toplevel proto.StorePath, force bool) (activation.Result, error)

	// DryActivate runs toplevel's switch-to-configuration with mode dry-activate,
	// and returns what it says it would do.
	DryActivate(ctx context.Context, toplevel proto.StorePath) ([]string, error)

	// Judge restarts the agent and observes the running system until it is
	// decided, or ctx ends: new failed units after the grace period, checks,
	// and the restarted agent's fresh contact. It does not fail for what it
	// observes; the error is for when it cannot observe at all.
	Judge(ctx context.Context, s check.Subject, p deployment.Probation, before deployment.Baseline) (health.Judgement, error)

	// Recalled returns when somebody on the host wants the deployment called id to
	// go back, and says who and why; with nothing if ctx ends first. One who
	// wanted that before it was called counts, whatever ctx says.
	Recalled(ctx context.Context, id string) string

	// RestartAgent makes the running system's agent the one that runs, and
	// returns when it has started, or could not.
	RestartAgent(ctx context.Context) error

	// Register makes toplevel the newest generation of the system profile, and
	// the profile name it, durably. If the profile names it already, nothing
	// changes.
	Register(ctx context.Context, toplevel proto.StorePath) (proto.Generation, error)

	// Restore makes the profile name p again: by p's own generation if that still
	// exists, else by a new one. If the profile names it already, nothing changes.
	Restore(ctx context.Context, p deployment.Proven) error

	// Drop deletes the newest generation of the profile, durably, if it is toplevel's
	// and not the one that the profile names. Else nothing changes.
	Drop(ctx context.Context, toplevel proto.StorePath) error

	// Raise makes toplevel the newest generation of the profile, but for one of above,
	// and the profile name it, durably. If it is that already, nothing changes.
	Raise(ctx context.Context, toplevel, above proto.StorePath) error

	// SetDefault runs toplevel's switch-to-configuration with mode boot, without
	// pre-switch checks, and makes the result durable. toplevel must be
	// registered. It fails, too, if the boot loader is known to boot something else
	// then; with an error that wraps [loader.ErrNoEntry] if that is because it has
	// entries of newer generations only.
	SetDefault(ctx context.Context, toplevel proto.StorePath) error

	// Arm makes the next boot, and no other, one of toplevel, a generation of the
	// profile, durably. Where the boot loader cannot do that, the error wraps
	// [loader.ErrUnprotected].
	Arm(ctx context.Context, toplevel proto.StorePath) error
	// Disarm makes the next boot one of the boot default again.
	Disarm(ctx context.Context) error
	// Reboot has the host go down, and booted again. It returns once that has
	// begun. The error wraps [ErrNoAnswer] if nobody answered who could do that.
	Reboot(ctx context.Context) error
	// Reset boots the host at once, and asks nobody: no unit is stopped. What was
	// written is put on the disks first, as far as they take it in time. It returns only
	// if that cannot be done, or ctx ends before.
	Reset(ctx context.Context) error
	// AwaitBoot returns when systemd has started everything of this boot.
	AwaitBoot(ctx context.Context) error
	// Bless tells a boot loader that counts boots that this one was good. If it
	// knows, or counts none, nothing changes.
	Bless(ctx context.Context) error
}

// A Store is the transaction's durable memory. What a method was given is on
// the disk when it returns nil.
type Store interface {
	// Save replaces the record.
	Save(d deployment.Deployment) error
	// Hold keeps a system that is about to be activated from being collected,
	// until another one is held.
	Hold(toplevel proto.StorePath) error
	// Prove replaces the proven system, and keeps it from being collected.
	Prove(p deployment.Proven) error
	// Guard has the next boots run a transaction over the record, early, by agent:
	// the path of a kedge-agent binary. Unguard takes that back.
	Guard(agent string) error
	Unguard() error
	// Quarantine keeps toplevel from being tried again here for a while.
	Quarantine(toplevel proto.StorePath, why proto.Reason, now time.Time) error
}
