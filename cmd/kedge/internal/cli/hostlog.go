package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/terminal"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) hostLog() *cobra.Command {
	var deployment string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "log HOST",
		Short: "Show what the activations of a host's last deployment said",
		Long: `Show what switch-to-configuration said in a deployment of a host, each time that it
ran: to activate the new system, to set the boot default, on the way back. It is the
newest deployment that the host sent a log of, unless another one is named; see kedge
events. A host sends it when the deployment has ended, and at most the last 64 KiB of
each run.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&deployment, "deployment", "", "of the one with this `ID`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the controller says, as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := parseHost(args[0])
		if err != nil {
			return err
		}
		request := proto.HostLogRequest{Host: host, Deployment: deployment}
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.HostLogRequest, proto.HostLogReply](ctx, conn, proto.EndpointHostLog, request)
			if err != nil {
				return err
			}
			if asJSON {
				return terminal.WriteJSON(k.Stdout, r)
			}
			drawLog(k.Stdout, r)
			return nil
		})
	}
	return cmd
}

// drawLog writes what the activations of one deployment said.
func drawLog(w io.Writer, r proto.HostLogReply) {
	for _, run := range r.Runs {
		title := fmt.Sprintf("%s  %s  %s  %s  %s", run.Time.UTC().Format(time.RFC3339), terminal.Printable(r.Deployment), run.Phase, run.Mode, run.Toplevel)
		var lines []string
		if run.Cut {
			lines = append(lines, "(not all of what it said is here)")
		}
		if run.Text != "" {
			lines = append(lines, run.Text)
		}
		drawLines(w, title, lines)
	}
}
