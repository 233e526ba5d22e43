package command_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"kedge/e2e/internal/command"
)

// TestUntilStopped sends itself what would end it.
func TestUntilStopped(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			signal.Notify(make(chan os.Signal, 1), sig) // survive it, if it is not heeded
			defer signal.Reset(sig)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			stopped, stop := command.UntilStopped(ctx)
			defer stop()
			if err := syscall.Kill(os.Getpid(), sig); err != nil {
				t.Fatal(err)
			}
			<-stopped.Done()
			if ctx.Err() != nil {
				t.Error("the context did not end")
			}
		})
	}
}

// TestMain is, if it is told so, a program that prints until it is stopped.
func TestMain(m *testing.M) {
	if os.Getenv("E2E_PRINTS") == "" {
		os.Exit(m.Run())
	}
	stopped, stop := command.UntilStopped(context.Background())
	defer stop()
	for stopped.Err() == nil {
		_, _ = os.Stdout.WriteString("line\n")
	}
}

func TestUntilNobodyReads(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "E2E_PRINTS=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v, want it to stop by itself", err)
	}
}

// A connection that breaks is nobody's wish to stop.
func TestABrokenConnectionStopsNothing(t *testing.T) {
	stopped, stop := command.UntilStopped(t.Context())
	defer stop()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	for !errors.Is(err, syscall.EPIPE) {
		_, err = conn.Write([]byte("x"))
	}
	// What came first is heeded first.
	if err := syscall.Kill(os.Getpid(), syscall.SIGPIPE); err != nil {
		t.Fatal(err)
	}
	if stopped.Err() != nil {
		t.Errorf("it stopped: %v", context.Cause(stopped))
	}
}
