package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/summary"
	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

// eventsPage is how many events are asked for at once.
const eventsPage = 500

func (k *kedge) events() *cobra.Command {
	var follow, asJSON bool
	var name string
	var last int
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened on the hosts",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens next, until interrupted")
	cmd.Flags().StringVar(&name, "host", "", "of this host only")
	cmd.Flags().IntVarP(&last, "lines", "n", 20, "how many of the last events to begin with")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each event as a line of JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		request := proto.EventsRequest{Last: true, Limit: last}
		if last < 1 || last > eventsPage {
			return usage.Errorf("--lines: must be from 1 to %d, got %d", eventsPage, last)
		}
		if name != "" {
			host, err := parseHost(name)
			if err != nil {
				return err
			}
			request.Host = host
		}
		return k.withController(cmd.Context(), callTimeout, !follow, func(ctx context.Context, conn *bus.Conn) error {
			return k.showEvents(ctx, conn, request, follow, asJSON)
		})
	}
	return cmd
}

// showEvents shows the page that first asks for, and then, if it is to follow,
// whatever comes, until ctx ends.
func (k *kedge) showEvents(ctx context.Context, conn *bus.Conn, first proto.EventsRequest, follow, asJSON bool) error {
	out := outage{w: k.Stderr}
	for request, begun := first, false; ; {
		page, err := call[proto.EventsRequest, proto.EventsReply](ctx, conn, proto.EndpointEvents, request)
		switch {
		case ctx.Err() != nil && follow:
			return nil // interrupted, as intended
		case err != nil && begun && passing(err):
			out.goesOn(err)
			pause(ctx)
			continue
		case err != nil:
			return err
		}
		out.ends()
		for _, n := range page.Events {
			if err := k.printEvent(n, asJSON); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		begun = true
		request = proto.EventsRequest{Host: first.Host, After: page.Next, Limit: eventsPage, Wait: proto.MaxWait}
	}
}

func (k *kedge) printEvent(n proto.NumberedEvent, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(k.Stdout).Encode(n); err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		return nil
	}
	e := n.Event
	_, err := fmt.Fprintf(k.Stdout, "%s  %s  %s  %s\n", e.Time.UTC().Format(time.RFC3339), e.Host, terminal.Dash(e.Phase),
		terminal.Printable(summary.Because(e.Revision.Short(), e.Reason, summary.FirstLine(e.Message))))
	drawFailed(k.Stdout, "  ", e.Failed)
	return err
}
