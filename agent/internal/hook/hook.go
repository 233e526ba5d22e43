// Package hook runs programs of the operator's at the borders of a deployment:
// before its fetch, its activation and its reboot, where one that fails refuses, and
// after its end, or when the reboot does not come, where it is only told.
//
// A hook gets what it may want to know in its environment, and a deadline. It
// runs in a process group of its own, of which nothing is left when it is over, but
// for what does not end though it was killed.
package hook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/internal/command"
	"kedge/proto"
)

// A Point is where in a deployment hooks run.
type Point string

// The points, in their order.
const (
	PreFetch        Point = "pre-fetch"
	PreActivate     Point = "pre-activate"
	PreReboot       Point = "pre-reboot"
	RebootCancelled Point = "reboot-cancelled"
	PostCommit      Point = "post-commit"
	PostRollback    Point = "post-rollback"
)

// Points returns every point.
func Points() []Point {
	return []Point{PreFetch, PreActivate, PreReboot, RebootCancelled, PostCommit, PostRollback}
}

// After returns the point that follows the end of a deployment in phase p; empty
// if none does. A rollback that failed, or that proved nothing, is followed, too.
func After(p proto.Phase) Point {
	switch p {
	case proto.PhaseCommitted:
		return PostCommit
	case proto.PhaseRolledBack, proto.PhaseInconclusive, proto.PhaseRollbackFailed:
		return PostRollback
	case proto.PhaseNone, proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseActivating, proto.PhaseProbation,
		proto.PhaseCommitting, proto.PhaseTried, proto.PhaseStaging, proto.PhaseStaged, proto.PhaseArmed, proto.PhaseRollingBack, proto.PhaseFailed,
		proto.PhaseRefused, proto.PhaseSuperseded:
		return ""
	}
	return ""
}

// A Hook is one program.
type Hook struct {
	Exec    []string // its path, absolute, and its arguments
	Timeout time.Duration
}

// A Call says which hooks to run, and for what.
type Call struct {
	Point      Point
	Hooks      []Hook
	Host       proto.HostName
	Deployment deployment.Deployment
}

// environ returns what a hook of c has for an environment.
func (c Call) environ(path string) []string {
	d := c.Deployment
	return []string{
		"KEDGE_HOOK=" + string(c.Point),
		"KEDGE_DEPLOYMENT=" + d.ID,
		"KEDGE_HOST=" + c.Host.String(),
		"KEDGE_TOPLEVEL=" + d.Toplevel.String(),
		"KEDGE_SPECIALISATION=" + d.Specialisation.Name,
		"KEDGE_PROVEN=" + d.Proven.Toplevel.String(),
		"KEDGE_REVISION=" + d.Revision.String(),
		"KEDGE_VERDICT=" + string(d.Phase.Verdict()),
		"KEDGE_REASON=" + string(d.Reason),
		"PATH=" + path,
	}
}

// saidLimit is how many of the last bytes that a hook said are told, in whole
// lines.
const saidLimit = 2 << 10

// stopDelay is how long a hook may take to end after SIGTERM, before it and its
// children are killed.
const stopDelay = 5 * time.Second

// A Runner runs hooks.
type Runner struct {
	Path string // PATH of the hooks
	// StopDelay overrides stopDelay; zero does not.
	StopDelay time.Duration
}

// Run runs the hooks of c, one after the other, until one fails, passes its
// deadline, or ctx ends; soon after that it returns even if one cannot be ended. The
// error says which, why, and what it said last.
func (r Runner) Run(ctx context.Context, c Call) error {
	for _, h := range c.Hooks {
		if err := r.run(ctx, h, c.environ(r.Path)); err != nil {
			return fmt.Errorf("%s hook %s: %w", c.Point, filepath.Base(h.Exec[0]), err)
		}
	}
	return nil
}

func (r Runner) run(ctx context.Context, h Hook, env []string) error {
	deadline := fmt.Errorf("it did not end within %s", h.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, h.Timeout, deadline)
	defer cancel()
	said := command.Tail{Limit: saidLimit}
	cmd := command.New(ctx, cmp.Or(r.StopDelay, stopDelay), h.Exec...)
	cmd.Dir, cmd.Env = "/", env
	cmd.Stdout, cmd.Stderr = &said, &said
	err := command.Run(ctx, cmd)
	if cmd.Process != nil {
		// Whatever it left behind. Mostly that is nothing; that this fails then is
		// what we want.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return nil // it ended well, but for what it may have left behind
	}
	_, err = command.Ended(ctx, cmd, err)
	if text := strings.TrimSpace(said.String()); text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}
