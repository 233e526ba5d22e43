// Package command runs the programs that the test hosts are made with: by argument vector and never through a shell, so
// that they end with their context and so that a failure explains itself.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// killDelay is how long a program may take to end after SIGTERM before it gets SIGKILL.
	killDelay = 5 * time.Second
	// stderrLimit bounds, in bytes, how much of the end of standard error an [Error] carries.
	stderrLimit = 4 << 10
)

// A Command says what to run. Only Args is required.
type Command struct {
	Args     []string          // program and arguments; the program is looked up in PATH
	Dir      string            // to run in; "" means the caller's
	Env      []string          // whole environment; nil means the caller's
	Stdin    io.Reader         // nil means empty
	Progress func(line string) // called with each line of standard output while the program runs
	Cgroup   uintptr           // descriptor of the cgroup v2 directory to start in; 0 means the caller's
}

// An Error tells which program failed, how, and what it said last on standard error.
type Error struct {
	Args   []string
	Code   int // exit code, -1 if it did not start or was killed
	Stderr string
	Err    error
}

func (e *Error) Error() string {
	msg := fmt.Sprintf("%s: %v", strings.Join(e.Args, " "), e.Err)
	if said := strings.TrimSpace(e.Stderr); said != "" {
		msg += ": " + said
	}
	return msg
}

func (e *Error) Unwrap() error { return e.Err }

// Run runs c in a process group of its own and returns its whole standard output. When ctx ends, the group gets SIGTERM
// and after five seconds SIGKILL. Every failure is an [*Error]; it wraps ctx's error if that was the reason.
func Run(ctx context.Context, c Command) (stdout string, err error) {
	var out bytes.Buffer
	said := &tail{limit: stderrLimit}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = c.Env
	cmd.Stdin = c.Stdin
	cmd.Stdout = &out
	if c.Progress != nil {
		cmd.Stdout = io.MultiWriter(&out, &lines{each: c.Progress})
	}
	cmd.Stderr = said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.Cgroup != 0 {
		cmd.SysProcAttr.UseCgroupFD = true
		cmd.SysProcAttr.CgroupFD = int(c.Cgroup)
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killDelay
	if err := cmd.Run(); err != nil {
		code := -1
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
		return out.String(), &Error{Args: c.Args, Code: code, Stderr: said.String(), Err: err}
	}
	return out.String(), nil
}
