// Package unkillable makes processes, for tests, that stay for their parent though
// they were killed, as one does that waits for a disk which does not answer.
package unkillable

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// holder makes the program of a test hold another process.
const holder = "hold-on-to"

// Hold reports whether this process is the one that [Script] starts, after it has done
// what that is for. TestMain begins with it, and returns then.
func Hold() (held bool) {
	if len(os.Args) != 4 || os.Args[1] != holder {
		return false
	}
	if err := hold(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return true
}

// hold traces a process until nobody has that pipe open for writing. Whoever traces a
// process is told of its end first, and its parent when that one has heard: never.
func hold(pid, pipe string) error {
	runtime.LockOSThread() // threads trace
	id, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	if _, err := syscall.Setsid(); err != nil { // it is not killed with that one's group
		return err
	}
	if err := unix.PtraceSeize(id); err != nil {
		return fmt.Errorf("trace process %d: %w", id, err)
	}
	until, err := os.Open(pipe)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("held\n"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, until)
	return err
}

// startLimit is for how long a holder may take to start, on a busy machine.
const startLimit = time.Minute

// Script returns the end of a shell script that hangs, and whose shell is not gone for
// its parent, however it is killed, before the test ends; and a channel that is closed
// once that is so. The test is skipped where processes must not trace others.
func Script(t *testing.T) (script string, held <-chan struct{}) {
	t.Helper()
	const scope = "/proc/sys/kernel/yama/ptrace_scope"
	if limit, err := os.ReadFile(scope); err == nil && strings.TrimSpace(string(limit)) != "0" && os.Geteuid() != 0 {
		t.Skip("processes must not trace others here, see " + scope)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	until, _ := pipe(t, "until")
	ready, says := pipe(t, "ready")
	if err := says.SetReadDeadline(time.Now().Add(startLimit)); err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	go func() {
		if _, err := says.Read(make([]byte, 1)); err == nil {
			close(begun)
		}
	}()
	return fmt.Sprintf("%s %s $$ %s > %s & read never < %s\n", own, holder, until, ready, until), begun
}

// pipe makes a named pipe that this process has open until the test ends.
func pipe(t *testing.T, name string) (path string, file *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return path, file
}

// Context returns a context that ends with cause once held is closed.
func Context(t *testing.T, held <-chan struct{}, cause error) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		select {
		case <-held:
			cancel(cause)
		case <-ctx.Done():
		}
	}()
	return ctx
}
