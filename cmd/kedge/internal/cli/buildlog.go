package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) build() *cobra.Command {
	cmd := &cobra.Command{Use: "build", Short: "See what the builds of revisions say"}
	cmd.AddCommand(k.buildLog())
	return cmd
}

func (k *kedge) buildLog() *cobra.Command {
	var follow bool
	var revision string
	cmd := &cobra.Command{
		Use:   "log [CHANNEL]",
		Short: "Show what the build of the newest revision says",
		Long: `Show what the build of a revision says: Nix, and each builder, whose lines begin with
the name of what it builds. It is the revision that was built last, of the only
channel, unless others are named.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the build has ended")
	cmd.Flags().StringVar(&revision, "revision", "", "of this one, in 40 digits")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request := proto.BuildLogRequest{Channel: first(args...)}
		if revision != "" {
			rev, err := proto.ParseRevision(revision)
			if err != nil {
				return usage.Errorf("--revision: %v", err)
			}
			request.Revision = rev
		}
		return k.withController(cmd.Context(), callTimeout, !follow, func(ctx context.Context, conn *bus.Conn) error {
			return k.showBuildLog(ctx, conn, request, follow)
		})
	}
	return cmd
}

// showBuildLog shows what there is of a log and, if it is to follow, what comes until
// the build has ended, or ctx.
func (k *kedge) showBuildLog(ctx context.Context, conn *bus.Conn, request proto.BuildLogRequest, follow bool) error {
	out := outage{w: k.Stderr}
	for begun := false; ; begun = true {
		page, err := call[proto.BuildLogRequest, proto.BuildLogReply](ctx, conn, proto.EndpointBuildLog, request)
		switch {
		case ctx.Err() != nil && follow:
			return nil // interrupted, as intended
		case err != nil && begun && follow && passing(err):
			out.goesOn(err)
			pause(ctx)
			continue
		case err != nil:
			return err
		}
		out.ends()
		if page.Text != "" {
			for line := range strings.SplitSeq(strings.TrimSuffix(page.Text, "\n"), "\n") {
				if _, err := fmt.Fprintln(k.Stdout, terminal.Printable(line)); err != nil {
					return err
				}
			}
		}
		if page.Ended || page.Text == "" && !follow {
			return nil
		}
		// A newer revision is another log.
		request.Channel, request.Revision, request.After = page.Channel, page.Revision, page.Next
		if follow {
			request.Wait = proto.MaxWait
		}
	}
}
