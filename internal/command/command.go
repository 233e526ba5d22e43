// Package command runs programs so that they end with their context, whole process
// groups of them, and so that a failure can be explained.
package command

import (
	"context"
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
// ended: its exit code, -1 if it was not started or ended by a signal, and why,
// which is ctx's cause if ctx has ended. Then nothing of its process group runs on.
func Ended(ctx context.Context, cmd *exec.Cmd, err error) (exitCode int, why error) {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		if cmd.Process != nil {
			// exec kills only the leader after WaitDelay. Mostly the group has
			// ended by itself; that this fails then is what we want.
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}
	if cmd.ProcessState == nil {
		return -1, err
	}
	return cmd.ProcessState.ExitCode(), err
}
