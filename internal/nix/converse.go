package nix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// converse runs a program and talks to it on its standard input and output.
// The program ends when talk has returned: because its input ends, or, if talk
// did not like what it heard, by a signal.
func (c *CLI) converse(ctx context.Context, program string, args []string, talk func(to io.Writer, from io.Reader) error, settings ...Setting) error {
	argv := c.argv(program, args, nil, settings)
	running, stop := context.WithCancel(ctx)
	defer stop()
	stderr := tail{limit: stderrLimit}
	cmd := c.command(running, argv, &stderr)
	to, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", summary(argv), err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", summary(argv), err)
	}

	start := time.Now()
	err = cmd.Start()
	if err == nil {
		talked := talk(to, from)
		if talked != nil && !hungUp(talked) {
			stop()
		}
		_ = to.Close() // it may have gone already
		err = cmd.Wait()
		if talked != nil && (err == nil || running.Err() != nil) {
			err = talked
		}
	}
	c.log(ctx, argv, time.Since(start), err)
	if err != nil {
		return failure(ctx, cmd, &stderr, err)
	}
	return nil
}

// hungUp reports whether a conversation failed because the other side ended. It
// says best itself why.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrClosed) || errors.Is(err, syscall.EPIPE)
}
