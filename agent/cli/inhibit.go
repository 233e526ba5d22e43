package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kedge/agent/internal/statefile"
	"kedge/internal/usage"
)

func (h host) inhibit() *cobra.Command {
	var v statefile.Veto
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "inhibit [-- COMMAND [ARG...]]",
		Short: "Hold back the activation of what is fetched while a command runs, or until interrupted",
		Long: `Hold back the activation of what is fetched while a command runs, or without one
until interrupted. It ends with the command's exit code. How long a deployment can
be held back at most is configured as inhibit.max. A deployment that is being
activated goes on, or back.`,
	}
	cmd.Flags().SetInterspersed(false) // what follows the command is its own
	cmd.Flags().StringVar(&v.Why, flagReason, "", "why, for others to see (default: the command)")
	cmd.Flags().DurationVar(&length, flagFor, 0, "without a command: hold for this long")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkFor(cmd, length); err != nil {
			return err
		}
		if length > 0 && len(args) > 0 {
			return usage.Errorf("--for is for holding without a command")
		}
		if v.Why == "" {
			v.Why = strings.Join(args, " ")
		}
		v.Who = fmt.Sprintf("%s-%d", h.by(), os.Getpid())
		files := h.place().files()
		if err := files.Veto(v); err != nil {
			return err
		}
		var err error
		if len(args) > 0 {
			err = h.run(cmd.Context(), args...)
		} else {
			hold(cmd.Context(), length)
		}
		return errors.Join(err, files.EndVeto(v.Who))
	}
	return cmd
}

// hold waits for d, or for the end of ctx if d is zero.
func hold(ctx context.Context, d time.Duration) {
	over := (<-chan time.Time)(nil)
	if d > 0 {
		over = time.After(d)
	}
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// run runs a command for the user, and ends as it does. Who wants us to end
// wants it to, and waits for it.
func (h host) run(ctx context.Context, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = h.Stdin, h.Stdout, h.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return err // it did not start
	}
	code := cmd.ProcessState.ExitCode()
	if status, is := cmd.ProcessState.Sys().(syscall.WaitStatus); is && status.Signaled() {
		code = 128 + int(status.Signal()) // as a shell says it
	}
	if code != 0 {
		return &endedError{code: code}
	}
	return nil
}
