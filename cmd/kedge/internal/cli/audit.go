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

func (k *kedge) audit() *cobra.Command {
	var asJSON bool
	var last int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what, when, and from where",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().IntVarP(&last, "lines", "n", 20, "how many of the last entries")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each entry as a line of JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if last < 1 || last > eventsPage {
			return usage.Errorf("--lines: must be from 1 to %d, got %d", eventsPage, last)
		}
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.AuditRequest, proto.AuditReply](ctx, conn, proto.EndpointAudit, proto.AuditRequest{Last: true, Limit: last})
			if err != nil {
				return err
			}
			return k.printAudit(r.Entries, asJSON)
		})
	}
	return cmd
}

func (k *kedge) printAudit(entries []proto.NumberedEntry, asJSON bool) error {
	for _, n := range entries {
		if asJSON {
			if err := json.NewEncoder(k.Stdout).Encode(n); err != nil {
				return fmt.Errorf("write JSON: %w", err)
			}
			continue
		}
		e := n.Entry
		who := e.Actor
		if e.Key != "" {
			who += " (" + e.Key[:min(len(e.Key), shortKey)] + ")"
		}
		if e.From != "" {
			who += " from " + e.From
		}
		what := string(e.Act)
		if !e.Host.IsZero() {
			what += " " + e.Host.String()
		}
		if e.Serial != 0 {
			what += " serial " + e.Serial.String()
		}
		if _, err := fmt.Fprintf(k.Stdout, "%s  %s  %s\n", e.Time.UTC().Format(time.RFC3339), terminal.Printable(who),
			terminal.Printable(summary.Because(what, "", summary.FirstLine(e.Message)))); err != nil {
			return err
		}
	}
	return nil
}
