package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) keyStatus() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say which hosts trust which keys",
		Long: `Say of every key which hosts trust it, by the configuration that they run and have
committed. A key that the controller holds may be retired when every host trusts
another one that it holds.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the controller says, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.KeyStatusRequest, proto.KeyStatusReply](ctx, conn, proto.EndpointKeyStatus, proto.KeyStatusRequest{})
			if err != nil {
				return err
			}
			if asJSON {
				return terminal.WriteJSON(k.Stdout, r)
			}
			drawKeys(k.Stdout, r)
			return nil
		})
	}
	return cmd
}

// drawKeys writes a line for each key, and then who does not trust it.
func drawKeys(w io.Writer, r proto.KeyStatusReply) {
	t := table{{"KEY", "SIGNS", "HELD", "TRUSTED BY", "NOTE"}}
	for _, s := range r.Keys {
		t.add(s.Key.Name(), string(s.Role)+"s", holder(s), fmt.Sprintf("%d of %d hosts", s.Trusted, r.Hosts), keyNote(s, r.Keys))
	}
	t.draw(w)
	for _, s := range r.Keys {
		if len(s.Lacking) > 0 {
			fmt.Fprintf(w, "\n%s is not known to be trusted by %s\n", terminal.Printable(s.Key.Name()), hostList(s.Lacking))
		}
	}
}

// holder says where the secret half of a key is.
func holder(s proto.KeyStatus) string {
	switch {
	case s.Held:
		return "here"
	case s.Spare:
		return "spare"
	}
	return "elsewhere"
}

// keyNote says what can be done with a key that is held.
func keyNote(s proto.KeyStatus, all []proto.KeyStatus) string {
	held := 0
	for _, o := range all {
		if o.Held && o.Role == s.Role {
			held++
		}
	}
	switch {
	case s.Unlisted:
		return "has not signed the withdrawals"
	case !s.Held || held == 1:
		return ""
	case len(s.Needed) > 0:
		return "needed by " + hostList(s.Needed)
	}
	return "may be retired"
}

// maxListed is how many hosts a line names.
const maxListed = 10

func hostList(hosts []proto.HostName) string {
	var names []string
	for _, h := range hosts[:min(len(hosts), maxListed)] {
		names = append(names, h.String())
	}
	if more := len(hosts) - len(names); more > 0 {
		names = append(names, strconv.Itoa(more)+" more")
	}
	return strings.Join(names, ", ")
}

func (k *kedge) keyAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add controller|release",
		Short: "Have the controller make a further key, which signs beside the others",
		Long: `Have the controller make a further key, and print its public half: for every host's
configuration. The secret half stays where it is made. From then on it signs beside
the others, so that hosts that trust any of them are served.

It may be repeated: a key that was made before, and that no host is known to trust yet,
is printed again. To have another one made, retire that one first.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			role := proto.KeyRole(args[0])
			if role != proto.KeyController && role != proto.KeyRelease {
				return usage.Errorf("%q: must be %s or %s", args[0], proto.KeyController, proto.KeyRelease)
			}
			return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
				r, err := call[proto.KeyAddRequest, proto.KeyAddReply](ctx, conn, proto.EndpointKeyAdd, proto.KeyAddRequest{Role: role})
				if err != nil {
					return err
				}
				if r.Again {
					fmt.Fprintf(k.Stderr, "%s was made before, and no host is known to trust it yet; to have another one made, retire it first\n",
						terminal.Printable(r.Key.Name()))
				}
				_, err = fmt.Fprintln(k.Stdout, r.Key)
				return err
			})
		},
	}
}

func (k *kedge) keyRetire() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "retire NAME",
		Short: "Have the controller destroy a key that no host needs any more",
		Long: `Have the controller destroy the secret half of a key. That is refused while a host is
not known to trust another key that signs the same: it would be locked out until
somebody sees to it by hand. See kedge key status.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&force, "force", false, "lock out hosts that need it, such as when it was stolen")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return k.withController(cmd.Context(), publishTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.KeyRetireRequest, proto.KeyRetireReply](ctx, conn, proto.EndpointKeyRetire, proto.KeyRetireRequest{Name: args[0], Force: force})
			if err != nil {
				return err
			}
			if r.Again {
				_, err = fmt.Fprintf(k.Stdout, "%s: retired already\n", terminal.Printable(args[0]))
				return err
			}
			fmt.Fprintf(k.Stdout, "%s: retired\n", terminal.Printable(args[0]))
			if len(r.Needed) > 0 {
				fmt.Fprintf(k.Stdout, "not known to trust another key, and locked out if they do not: %s\n", hostList(r.Needed))
			}
			return nil
		})
	}
	return cmd
}
