package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/terminal"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) hostRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke HOST",
		Short: "Let a host in no more",
		Long: `Let a host in no more. It is disconnected at once, and its key never counts again.
What it runs goes on running. To have it back, give it another key: see kedge host add
and kedge host token.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := parseHost(args[0])
			if err != nil {
				return err
			}
			return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
				r, err := call[proto.HostRevokeRequest, proto.HostRevokeReply](ctx, conn, proto.EndpointHostRevoke, proto.HostRevokeRequest{Host: host})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(k.Stdout, "%s: revoked %s\n", host, terminal.Printable(r.Key.PublicKey))
				return err
			})
		},
	}
}

// shortKey is how much of a public key tells it from others of one fleet.
const shortKey = 12

// keyCells returns what a table of hosts says of a key.
func keyCells(key *proto.HostKey, now time.Time) []string {
	if key == nil {
		return []string{"-", "-", "-", ""}
	}
	note := ""
	if !key.Revoked.IsZero() {
		note = fmt.Sprintf("revoked %s ago by %s", terminal.Since(key.Revoked, now), key.RevokedBy)
	}
	return []string{key.PublicKey[:min(len(key.PublicKey), shortKey)], terminal.Since(key.Enrolled, now), expires(key.Expires, now), note}
}

// expires says when something does that may be past.
func expires(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "never"
	case t.After(now):
		return "in " + terminal.Length(t.Sub(now))
	}
	return terminal.Since(t, now) + " ago"
}

// drawKey writes what is known of a host's key.
func drawKey(line drawLine, key proto.HostKey, now time.Time) {
	line("Key", "%s", key.PublicKey)
	from := ""
	if key.From != "" {
		from = " from " + key.From
	}
	line("Enrolled", "%s ago by %s%s", terminal.Since(key.Enrolled, now), key.By, from)
	line("Expires", "%s", expires(key.Expires, now))
	if !key.Revoked.IsZero() {
		line("Revoked", "%s ago by %s", terminal.Since(key.Revoked, now), key.RevokedBy)
	}
}
