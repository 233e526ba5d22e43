package command

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// UntilStopped returns a context that ends when somebody stops this program in a way that leaves it time to clean up: with an
// interrupt or SIGTERM, by closing its terminal, or by no longer reading what it prints. Afterwards and until stop, none of
// these ends the program.
func UntilStopped(ctx context.Context) (stopped context.Context, stop context.CancelFunc) {
	ctx, end := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	go func() {
		for {
			select {
			case <-pipes:
				if unread() { // and not a connection, whose end is for its writer to see
					end()
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() {
		end()
		signal.Stop(pipes)
	}
}

// unread reports whether nobody reads what this program prints.
func unread() bool {
	fds := []unix.PollFd{{Fd: int32(unix.Stdout)}, {Fd: int32(unix.Stderr)}}
	_, err := unix.Poll(fds, 0)
	return err == nil && (fds[0].Revents|fds[1].Revents)&unix.POLLERR != 0
}
