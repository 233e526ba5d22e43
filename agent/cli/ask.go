package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kedge/agent/internal/control"
	"kedge/agent/internal/statefile"
	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
)

// waitTimeout is how long a wait takes at most, unless somebody says otherwise.
const waitTimeout = 30 * time.Minute

func (h host) reconcile() *cobra.Command {
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Make the agent look now at what this host shall run, and try again what failed",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&wait, flagWait, false, "wait until the agent has nothing to do, and say whether the host runs what it shall")
	cmd.Flags().DurationVar(&timeout, flagTimeout, waitTimeout, "with --wait: give up after this long")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := h.place().client()
		if err := c.Reconcile(cmd.Context()); err != nil || !wait {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		s, err := c.Rested(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%w: %w", errLate, err)
		}
		if err != nil {
			return err
		}
		return h.judge(s)
	}
	return cmd
}

// judge says what a host came to, and fails if that is not what it shall run, or nobody
// knows what that is.
func (h host) judge(s proto.Status) error {
	ready, _ := s.Condition(proto.ConditionReady)
	why := terminal.Printable(because(string(ready.Reason), ready.Message))
	switch ready.Status {
	case proto.StatusTrue:
		_, err := fmt.Fprintln(h.Stdout, why)
		return err
	case proto.StatusFalse:
		return &badEndError{why: "not ready: " + why}
	case proto.StatusUnknown:
	}
	return &badEndError{why: "not known to be ready: " + why}
}

func (h host) suspend() *cobra.Command {
	r := control.SuspendRequest{}
	cmd := &cobra.Command{
		Use:   "suspend",
		Short: "Keep the agent from beginning any deployment, across reboots",
		Long: `Keep the agent from beginning any deployment, across reboots. It goes on to
connect and to report, and the fleet sees that it is suspended. A deployment that
is being activated goes on, or back.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().DurationVar(&r.For, flagFor, 0, "resume by itself after this long (default: never)")
	cmd.Flags().StringVar(&r.Reason, flagReason, "", "why, for others to see")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkFor(cmd, r.For); err != nil {
			return err
		}
		r.By = h.by()
		p := h.place()
		s, err := p.client().Suspend(cmd.Context(), r)
		if errors.Is(err, control.ErrNoAgent) {
			s = r.Suspension(h.Now())
			err = h.instead(p.files(), func(files statefile.Dir) error { return files.Suspend(s) })
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(h.Stdout, "suspended %s\n", terminal.Printable(s.String()))
		return err
	}
	return cmd
}

func (h host) resume() *cobra.Command {
	return &cobra.Command{
		Use:   "resume",
		Short: "End a suspension",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := h.place()
			err := p.client().Resume(cmd.Context(), control.ResumeRequest{By: h.by()})
			if errors.Is(err, control.ErrNoAgent) {
				return h.instead(p.files(), statefile.Dir.Resume)
			}
			return err
		},
	}
}

// instead does something to the state that the agent would have done, which does not
// run, and tells so.
func (h host) instead(files statefile.Dir, do func(files statefile.Dir) error) error {
	if err := files.Prepare(); err != nil {
		return fmt.Errorf("%w, and without it: %w", control.ErrNoAgent, err)
	}
	if err := do(files); err != nil {
		return fmt.Errorf("%w, and without it: %w", control.ErrNoAgent, err)
	}
	_, err := fmt.Fprintln(h.Stderr, "the agent does not run: done without it, and no event tells the fleet")
	return err
}

func (h host) confirm() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm",
		Short: "Let the deployment that waits go on, in spite of who holds it back",
		Long: `Let the deployment that waits go on now, in spite of who holds it back. That is for
this one deployment, and ends no suspension.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := h.place().client().Confirm(cmd.Context(), control.ConfirmRequest{By: h.by()})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(h.Stdout, "%s may go on: %s\n", terminal.Printable(d.ID), d.Toplevel)
			return err
		},
	}
}

func (h host) lift() *cobra.Command {
	r := control.LiftRequest{}
	cmd := &cobra.Command{
		Use:   "lift {STOREPATH | --all}",
		Short: "Let a system that failed here be tried again, at once",
		Args:  cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&r.All, "all", false, "every system that failed here")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if r.All == (len(args) == 1) {
			return usage.Errorf("want either the store path of a system or --all")
		}
		if !r.All {
			var err error
			if r.Toplevel, err = proto.ParseStorePath(args[0]); err != nil {
				return &usage.Error{Err: err}
			}
		}
		r.By = h.by()
		p := h.place()
		reply, err := p.client().Lift(cmd.Context(), r)
		lifted := reply.Lifted
		if errors.Is(err, control.ErrNoAgent) {
			err = h.instead(p.files(), func(files statefile.Dir) (err error) {
				lifted, err = r.Lift(files, h.Now())
				return err
			})
		}
		if err != nil {
			return err
		}
		for _, q := range lifted {
			fmt.Fprintf(h.Stdout, "%s: may be tried again; it was %s\n", q.Toplevel, q.Reason)
		}
		if len(lifted) == 0 {
			fmt.Fprintln(h.Stdout, "nothing was in quarantine, or given up")
		}
		return nil
	}
	return cmd
}
