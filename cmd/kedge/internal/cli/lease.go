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

func (k *kedge) lease() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lease",
		Short: "Show which hosts may reboot now, and free what a broken one holds",
	}
	cmd.AddCommand(k.leaseList(), k.leaseFree())
	return cmd
}

func (k *kedge) leaseList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the hosts that have a reboot lease, and since when",
		Long: `List the hosts that have a reboot lease, and since when. So many have one at a time
as reboot.max_concurrent in the controller's configuration says. One that has had it
for long did not come back from its reboot as it should: look at it before the next
one reboots into the same.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the controller says, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.LeaseListRequest, proto.LeaseListReply](ctx, conn, proto.EndpointLeaseList, proto.LeaseListRequest{})
			if err != nil {
				return err
			}
			if asJSON {
				return terminal.WriteJSON(k.Stdout, r)
			}
			drawLeases(k.Stdout, r, k.Now())
			return nil
		})
	}
	return cmd
}

// drawLeases writes a line for each lease, and how many there are.
func drawLeases(w io.Writer, r proto.LeaseListReply, now time.Time) {
	if len(r.Leases) > 0 {
		t := table{{"HOST", "HELD", "EXPIRES", "DEPLOYMENT", "NOTE"}}
		for _, l := range r.Leases {
			t.add(l.Host.String(), terminal.Since(l.Since, now), expiry(l, now), terminal.Dash(l.Deployment), leaseNote(l, now))
		}
		t.draw(w)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d of %d reboot leases are held\n", len(r.Leases), r.Slots)
}

// expiry says when another host may get the place of l.
func expiry(l proto.LeaseHolder, now time.Time) string {
	switch {
	case l.Expires.IsZero():
		return "never"
	case l.Expires.After(now):
		return "in " + terminal.Length(l.Expires.Sub(now))
	}
	return "when needed"
}

// leaseNote says what makes a lease worth a look.
func leaseNote(l proto.LeaseHolder, now time.Time) string {
	switch {
	case !l.Silent:
		return ""
	case l.Seen.IsZero():
		return "never heard of"
	}
	return "silent for " + terminal.Since(l.Seen, now)
}

func (k *kedge) leaseFree() *cobra.Command {
	return &cobra.Command{
		Use:   "free HOST",
		Short: "Take the reboot lease of a host, so that another may reboot",
		Long: `Take the reboot lease of a host that will not give it back, so that another one may
reboot. Look at the host first: it has the lease because it did not come back as it
should, and what broke it may break the next one. A host that is about to reboot is
not stopped by this.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := parseHost(args[0])
			if err != nil {
				return err
			}
			return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
				r, err := call[proto.LeaseFreeRequest, proto.LeaseFreeReply](ctx, conn, proto.EndpointLeaseFree, proto.LeaseFreeRequest{Host: host})
				if err != nil {
					return err
				}
				if r.Freed.Host.IsZero() {
					_, err = fmt.Fprintf(k.Stdout, "%s: has no reboot lease\n", host)
					return err
				}
				_, err = fmt.Fprintf(k.Stdout, "%s: freed, held for %s\n", r.Freed.Host, terminal.Since(r.Freed.Since, k.Now()))
				return err
			})
		},
	}
}
