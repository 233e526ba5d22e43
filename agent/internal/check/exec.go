package check

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/internal/command"
)

const (
	// searchPath is of the running system.
	searchPath = "/run/wrappers/bin:/run/current-system/sw/bin"
	// stopDelay is how long a program that is asked to end may take.
	stopDelay = time.Second
	// outputLimit is how many of the last bytes of a program's output are told,
	// in whole lines.
	outputLimit = 300
)

// A programError is a program that did not exit with 0, and what it said.
type programError struct {
	program string
	err     error
	output  string
}

// Error implements error.
func (e *programError) Error() string {
	text := e.program + ": " + e.err.Error()
	if e.output != "" {
		text += ": " + e.output
	}
	return text
}

// Unwrap returns why the program ended.
func (e *programError) Unwrap() error { return e.err }

// tryExec runs the program of c. Nothing of its process group is left when it
// returns, but for what does not end though it was killed: that is not waited for, and
// as long as it is there the next try fails without running anything.
func (r *Runner) tryExec(ctx context.Context, c deployment.Check) error {
	if err := r.awaitGone(ctx, c.Name); err != nil {
		return &programError{program: c.Exec[0], err: err}
	}
	cmd := command.New(ctx, stopDelay, c.Exec...)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=" + searchPath,
		"KEDGE_CHECK=" + c.Name,
		"KEDGE_DEPLOYMENT=" + r.Deployment,
		"KEDGE_TOPLEVEL=" + r.Toplevel.String(),
	}
	output := command.Tail{Limit: outputLimit}
	cmd.Stdout, cmd.Stderr = &output, &output
	err := command.Run(ctx, cmd)
	if cmd.Process != nil {
		// It fails if nobody is left, which is what we want.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return nil // whatever it left behind
	}
	_, err = command.Ended(ctx, cmd, err)
	if cmd.Process != nil {
		r.leave(c.Name, cmd.Process.Pid)
	}
	lines := strings.FieldsFunc(output.String(), func(r rune) bool { return r == '\n' || r == '\r' })
	return &programError{program: c.Exec[0], err: err, output: strings.Join(lines, " | ")}
}
