// Package command runs programs so that they end with their context, whole process
// groups of them, and so that a failure can be explained.
package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// New returns a command, by argument vector, that can be run. When ctx ends, its
// process group gets SIGTERM, and the process SIGKILL after stopDelay if it still
// runs. What it ended with is for [Ended] to say.
func New(ctx context.Context, stopDelay time.Duration, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopDelay
	return cmd
}

// Ended returns how a command of [New] that was run under ctx and failed with err
// ended: its exit code, -1 if it was not started, ended by a signal, or has not ended
// though it was killed, and why, which is ctx's cause if ctx has ended. Then nothing of
// its process group runs on, but for what the kernel does not let go.
func Ended(ctx context.Context, cmd *exec.Cmd, err error) (exitCode int, why error) {
	stuck := errors.Is(err, errStuck)
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); stuck {
			err = fmt.Errorf("%w; %w", cause, err)
		} else {
			err = cause
		}
		if cmd.Process != nil {
			// exec kills only the leader after WaitDelay. Mostly the group has
			// ended by itself; that this fails then is what we want.
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}
	if stuck || cmd.ProcessState == nil { // in this order: who waits for it may set it
		return -1, err
	}
	return cmd.ProcessState.ExitCode(), err
}
