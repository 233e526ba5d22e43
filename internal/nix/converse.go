package nix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"kedge/internal/command"
)

// errGarbled is wrapped by the error of a conversation that is of no use any
// more, because the other side says what nobody understands.
var errGarbled = errors.New("the answer cannot be understood")

// converse runs a program and talks to it on its standard input and output.
// When talk returns, the program's input ends, and it is waited for; if talk's
// error wraps errGarbled, it is stopped.
func (c *CLI) converse(ctx context.Context, program string, args []string, talk func(to io.Writer, from io.Reader) error, settings ...Setting) error {
	argv := c.argv(program, args, nil, settings)
	running, stop := context.WithCancel(ctx)
	defer stop()
	stderr := command.Tail{Limit: stderrLimit}
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
	if err = cmd.Start(); err == nil {
		talked := talk(to, from)
		if errors.Is(talked, syscall.EPIPE) {
			talked = io.EOF // it had gone before it was told all
		}
		garbled := errors.Is(talked, errGarbled)
		if garbled {
			stop()
		}
		_ = to.Close() // it may have gone already
		// A program that fails says best itself why.
		if err = cmd.Wait(); err == nil || garbled {
			err = talked
		}
	}
	c.log(ctx, argv, time.Since(start), err)
	if err != nil {
		return failure(ctx, cmd, argv, &stderr, err)
	}
	return nil
}
