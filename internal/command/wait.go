package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// killPatience is how long a killed process may take to be gone. Only one that the
// kernel itself cannot wake, as it waits for a disk or a driver, takes much longer.
const killPatience = 2 * time.Second

// errStuck is wrapped by what a command ended with that did not end.
var errStuck = errors.New("does not end though it was killed; it waits for the kernel, see /proc/*/stack")

// RunSpared runs a command of [New], which was made with ctx, and returns what it ended
// with. It outlasts ctx by little more than the command's stop delay: then a process that
// does not end though it was killed is left behind, which is an error, and with it a
// goroutine that waits for it until it ends, or this program. Until then that goroutine
// owns the command: nobody else may wait for it, or look at its ProcessState ([Ended]
// does not), and what it writes to may be written to still, as a [Tail] may while it is
// read; the likes of a [bytes.Buffer] are not to be read any more.
func RunSpared(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	return wait(ctx, cmd)
}

// wait is RunSpared for a command that was started.
func wait(ctx context.Context, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err := await(ctx, cmd.WaitDelay, ended)
	if errors.Is(err, errStuck) {
		return fmt.Errorf("process %d %w", cmd.Process.Pid, err)
	}
	return err
}

// await returns what comes from ended, or errStuck if that takes longer after ctx's end
// than a killed process may.
func await(ctx context.Context, stopDelay time.Duration, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience := time.NewTimer(stopDelay + killPatience)
	defer patience.Stop()
	select {
	case err := <-ended:
		return err
	case <-patience.C:
		return errStuck
	}
}
