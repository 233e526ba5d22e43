package activation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kedge/proto"
)

// program is where a toplevel has it.
const program = "bin/switch-to-configuration"

// The modes that we run it with. Never switch: it changes the boot default
// before it tries anything.
const (
	modeTest = "test"
	modeBoot = "boot"
	modeDry  = "dry-activate"
)

// defaultStopGrace is how long a run may take to end after SIGTERM.
const defaultStopGrace = 10 * time.Second

// A Runner runs toplevels' switch-to-configuration as its own children. What
// must survive the runner belongs into a unit together with it.
type Runner struct {
	// Root is the directory that store and /run are looked for in; empty is /.
	Root string
	// OutputDir keeps the output of the last run of each mode. Required.
	OutputDir string
	// Log gets the output, afterwards. Required.
	Log *slog.Logger
	// Ran is called after each run but one that somebody else's switch kept from
	// beginning. Nil: nobody wants to know.
	Ran func(ctx context.Context, toplevel proto.StorePath, mode proto.Mode, output []string)
	// Environ defaults to the process's own. PATH, LANG and LOCALE_ARCHIVE are
	// passed on and nothing else: what else systemd gave to us is not for it.
	Environ []string
	// StopGrace is the time between SIGTERM and SIGKILL; defaults to 10 s.
	StopGrace time.Duration
	// Sync makes durable what installers of boot loaders write, and fails if a boot
	// partition could not be written; defaults to syncfs(2) of the root's file system, the
	// store's, and those of the kinds that something boots from.
	Sync func() error
}

// Activate runs toplevel with mode test, without pre-switch checks if force is
// true, and says what came of it. Past ctx's deadline that is a Broken system;
// if ctx was cancelled it is ctx's cause as an error. In both cases the
// program and everything in its process group are gone when Activate returns.
func (r Runner) Activate(ctx context.Context, toplevel proto.StorePath, force bool) (Result, error) {
	before, err := r.current()
	if err != nil {
		return Result{}, fmt.Errorf("activate %s: %w", toplevel, err)
	}
	end, err := r.run(ctx, toplevel, modeTest, force)
	switch {
	case errors.Is(err, errNotStarted):
		return Result{Effect: Unstarted, Reason: proto.ReasonActivationFailed, Message: err.Error()}, nil
	case err != nil:
		return Result{}, fmt.Errorf("activate %s: %w", toplevel, err)
	case end.interrupted && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Result{}, fmt.Errorf("activate %s: %w", toplevel, context.Cause(ctx))
	}
	after, err := r.current()
	if err != nil {
		return Result{}, fmt.Errorf("activate %s: %w", toplevel, err)
	}
	outcome := Classify(Run{
		Toplevel: toplevel,
		Before:   before,
		After:    after,
		ExitCode: end.exitCode,
		Signal:   end.signal,
		TimedOut: end.interrupted,
		Output:   end.output,
		Unheard:  end.unheard,
	})
	if outcome.Effect == Busy {
		outcome.Message += r.holder()
	}
	return outcome, nil
}

// run runs the program and logs its output.
func (r Runner) run(ctx context.Context, toplevel proto.StorePath, mode string, force bool) (ending, error) {
	grace := r.StopGrace
	if grace == 0 {
		grace = defaultStopGrace
	}
	out, err := createOutput(filepath.Join(r.OutputDir, "activation-"+mode+".log"))
	if out == nil {
		return ending{}, err
	}
	unheard := err != nil
	if unheard {
		r.Log.WarnContext(ctx, "output of the activation is not kept", "err", err)
	}
	c := child{
		path:  filepath.Join(r.Root, toplevel.String(), program),
		arg:   mode,
		env:   r.environ(force),
		out:   out,
		grace: grace,
	}
	end, err := c.run(ctx)
	end.unheard = unheard
	err = errors.Join(err, out.file.Close())
	logLines(ctx, r.Log, end.output)
	if s := read(end.output); r.Ran != nil && err == nil && (s.touched || end.exitCode != exitLocked && !s.locked) {
		r.Ran(ctx, toplevel, proto.Mode(mode), end.output)
	}
	return end, err
}

func (r Runner) environ(force bool) []string {
	from := r.Environ
	if from == nil {
		from = os.Environ()
	}
	env := slices.DeleteFunc(slices.Clone(from), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name != "PATH" && name != "LANG" && name != "LOCALE_ARCHIVE"
	})
	env = append(env, "NIXOS_INSTALL_BOOTLOADER=0")
	if force {
		env = append(env, "NIXOS_NO_CHECK=1")
	}
	return env
}

// current returns what /run/current-system names. Nothing, or what is no
// toplevel, is zero: it is another one than any that we activate.
func (r Runner) current() (proto.StorePath, error) {
	target, err := os.Readlink(filepath.Join(r.Root, "/run/current-system"))
	if errors.Is(err, fs.ErrNotExist) {
		return proto.StorePath{}, nil
	}
	if err != nil {
		return proto.StorePath{}, err
	}
	p, err := proto.ParseStorePath(target)
	if err != nil {
		return proto.StorePath{}, nil
	}
	return p, nil
}
