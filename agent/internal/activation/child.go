package activation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// killPatience is how long killed processes may take to be gone. Only one
	// that the kernel itself cannot wake takes longer.
	killPatience = 30 * time.Second
	// gonePause is between two looks at a process group that is about to end:
	// the kernel tells only of the leader.
	gonePause = 5 * time.Millisecond
	// trimInterval is between two looks at how much was written.
	trimInterval = time.Second
	// usualSlack is the timer slack that Linux starts with (its kernel/fork.c, and
	// prctl(2)), which nearly every process has.
	usualSlack = 50 * time.Microsecond
)

// errNotStarted is wrapped when the program could not be executed at all.
var errNotStarted = errors.New("it cannot be executed")

// A child is one program in a process group of its own.
type child struct {
	path, arg string
	env       []string
	out       *output
	grace     time.Duration
}

// An ending is how a child ended.
type ending struct {
	exitCode    int // -1 if a signal ended it
	signal      syscall.Signal
	interrupted bool // by us, because ctx ended
	output      []string
	unheard     bool // nothing could be written to output
}

// run runs the child to its end. If ctx ends first, the whole process group is
// asked to end, and killed after the grace period; run returns when nothing of
// it is left, or with an error when something is that the kernel does not let go.
func (c child) run(ctx context.Context) (ending, error) {
	if ctx.Err() != nil {
		return ending{}, context.Cause(ctx)
	}
	cmd := exec.Command(c.path, c.arg) //nolint:noctx // ended by hand: the group first asked, then killed, and waited for
	cmd.Dir = "/"
	cmd.Env = c.env
	cmd.Stdout, cmd.Stderr = c.out.file, c.out.file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := startPunctual(cmd); err != nil {
		return ending{}, fmt.Errorf("%w: %w", errNotStarted, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()

	var end ending
	var waitErr error
	trim := time.NewTicker(trimInterval)
	defer trim.Stop()
	for running := true; running; {
		select {
		case waitErr = <-exited:
			running = false
		case <-trim.C:
			c.out.trim()
		case <-ctx.Done():
			running = false
			end.interrupted = true
		}
	}
	if end.interrupted {
		var err error
		if waitErr, err = c.stop(cmd.Process.Pid, exited); err != nil {
			return ending{}, err
		}
		if err := awaitGroupGone(cmd.Process.Pid); err != nil {
			return ending{}, err
		}
	}
	var exit *exec.ExitError
	if waitErr != nil && !errors.As(waitErr, &exit) {
		return ending{}, fmt.Errorf("wait for %s: %w", c.path, waitErr)
	}
	end.exitCode = cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		end.signal = ws.Signal()
	}
	var err error
	end.output, err = c.out.lines()
	return end, err
}

// startPunctual starts cmd with the timer slack that the kernel gives to everybody,
// whatever this process has: a process inherits that of the thread which starts it.
// Where this cannot be changed, which no kernel is known to refuse, it has ours, and is
// woken a little late.
func startPunctual(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if own, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err == nil {
		_ = setTimerSlack(usualSlack)
		defer func() { _ = setTimerSlack(time.Duration(own)) }()
	}
	return cmd.Start()
}

// setTimerSlack sets the timer slack of this thread.
func setTimerSlack(d time.Duration) error {
	return unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(d.Nanoseconds()), 0, 0, 0)
}

// stop ends the group and returns what its leader's Wait returned. The error is for a leader
// that does not end though it was killed.
func (c child) stop(group int, exited <-chan error) (waitErr, err error) {
	signal(group, syscall.SIGTERM)
	timer := time.NewTimer(c.grace)
	defer timer.Stop()
	select {
	case waitErr = <-exited:
		// What the leader left behind has no reason to go on.
		signal(group, syscall.SIGKILL)
		return waitErr, nil
	case <-timer.C:
		signal(group, syscall.SIGKILL)
	}
	timer.Reset(killPatience)
	select {
	case waitErr = <-exited:
		return waitErr, nil
	case <-timer.C:
		return nil, errStuck(group)
	}
}

func errStuck(group int) error {
	return fmt.Errorf("processes of group %d do not end though they were killed; they wait for the kernel, see /proc/*/stack", group)
}

// signal sends s to every process of the group.
func signal(group int, s syscall.Signal) {
	// It fails only if nobody is left, which is what we want.
	_ = syscall.Kill(-group, s)
}

// awaitGroupGone returns when no process of the group, which was killed, runs.
func awaitGroupGone(group int) error {
	deadline := time.NewTimer(killPatience)
	defer deadline.Stop()
	look := time.NewTicker(gonePause)
	defer look.Stop()
	for groupRuns(group) {
		select {
		case <-look.C:
		case <-deadline.C:
			return errStuck(group)
		}
	}
	return nil
}

// groupRuns reports whether the group has a process that is not dead. One that
// is dead, and not waited for by its parent, still counts for kill(2).
func groupRuns(group int) bool {
	if errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
		return false
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return true
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name, which may hold anything) state parent group …
		fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		const state, pgrp = 0, 2
		if len(fields) <= pgrp || string(fields[pgrp]) != strconv.Itoa(group) {
			continue
		}
		if s := fields[state][0]; s != 'Z' && s != 'X' {
			return true
		}
	}
	return false
}
