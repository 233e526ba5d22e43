package command_test

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"kedge/e2e/internal/command"
)

// TestUntilStopped sends itself what would end it.
func TestUntilStopped(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE} {
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
