package command

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// UntilStopped returns a context that ends when somebody stops this program in a way that leaves it time to clean up: with an
// interrupt or SIGTERM, by closing its terminal, or by no longer reading what it prints. Afterwards and until stop, none of
// these ends the program.
func UntilStopped(ctx context.Context) (stopped context.Context, stop context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
}
