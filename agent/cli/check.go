package cli

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kedge/agent"
	"kedge/agent/internal/systemd"
	"kedge/internal/terminal"
	"kedge/proto"
)

func (h host) check() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Try the checks of the running system now, and look for failed units",
		Long: `Try each check of the running system once, now, and look for units that have
failed. Neither the agent nor NATS is asked. Ends with 3 if a check that is required
does not pass, or a unit has failed.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, flagJSON, false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		units := h.Units
		if units == nil {
			if os.Geteuid() != 0 {
				return fmt.Errorf("checks run as root: %w", fs.ErrPermission)
			}
			client := &systemd.Client{}
			defer client.Rest()
			units = client
		}
		r, err := agent.Check(cmd.Context(), agent.CheckOptions{File: *h.Config, Units: units})
		if err != nil {
			return err
		}
		if asJSON {
			err = terminal.WriteJSON(h.Stdout, r)
		} else {
			drawCheck(h.Stdout, r)
		}
		if err == nil && !r.Good() {
			return &badEndError{why: "a required check does not pass, or a unit has failed"}
		}
		return err
	}
	return cmd
}

func drawCheck(w io.Writer, r agent.CheckReport) {
	if len(r.Checks) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "CHECK\tRESULT\tTOOK\tWHY")
		for _, c := range r.Checks {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", terminal.Printable(c.Name), result(c), c.Duration.Round(time.Millisecond), terminal.Printable(c.Message))
		}
		_ = t.Flush() // an error of w shows where it is next written to
	}
	if len(r.Failed) == 0 {
		fmt.Fprintln(w, "no unit has failed")
	}
	drawFailed(w, r.Failed)
}

func result(c proto.CheckResult) string {
	switch {
	case c.Passed:
		return "passed"
	case c.Required:
		return "failed"
	}
	return "failed, not required"
}
