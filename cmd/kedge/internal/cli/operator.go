package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) operator() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "operator",
		Short: "Say who may call the controller, and as what",
	}
	cmd.AddCommand(k.operatorAdd(), k.operatorToken(), k.operatorList(), k.operatorRevoke())
	return cmd
}

func (k *kedge) operatorAdd() *cobra.Command {
	var role, out string
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make an operator's credentials",
		Long: `Make the credentials of an operator, and print them, or write them to a file for its
owner only, with how to connect in a file beside it that ends in .json. The key is made
here; its private half goes nowhere else. A viewer looks; an operator also acts within
what is configured; an admin says what runs where, and who is who. The audit calls
whoever has them NAME. Credentials of that name that were made before do not count any
more; a token for the API over HTTP does.

For calls without --creds, put both files into ~/.config/kedge, as creds and creds.json.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&role, "role", "", "viewer, operator or admin")
	cmd.Flags().DurationVar(&lifetime, "for", 0, "how long they are valid (default for ever)")
	cmd.Flags().StringVarP(&out, "out", "o", "", "write the credentials to this file, which must not exist, nor the one beside it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case proto.Role(role).Subjects() == nil:
			return usage.Errorf("--role: must be viewer, operator or admin, got %q", role)
		case lifetime < 0 || lifetime == 0 && cmd.Flags().Changed("for"):
			return usage.Errorf("--for: must be more than 0")
		}
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			return k.addOperator(ctx, conn, proto.OperatorAddRequest{Name: args[0], Role: proto.Role(role), For: lifetime}, out)
		})
	}
	return cmd
}

func (k *kedge) addOperator(ctx context.Context, conn *bus.Conn, r proto.OperatorAddRequest, out string) error {
	file, err := newFile(out, k.Stdout, 0o600)
	if err != nil {
		return fmt.Errorf("credentials of %s: %w", r.Name, err)
	}
	// Before the call, which revokes what the operator had: nothing may be in the way then.
	beside := ""
	if out != "" {
		beside = accessFile(out)
	}
	access, err := newFile(beside, k.Stderr, 0o644)
	if err != nil {
		err = fmt.Errorf("how to connect, beside the credentials of %s: %w", r.Name, err)
		return errors.Join(err, file.end(err))
	}
	how, err := makeOperator(ctx, conn, r, file)
	err = errors.Join(err, file.end(err)) // they stay, whatever becomes of the file beside them
	if err == nil {
		err = writeAccess(access, how)
	}
	return errors.Join(err, access.end(err))
}

// makeOperator makes credentials, writes them, and returns how to connect.
func makeOperator(ctx context.Context, conn *bus.Conn, r proto.OperatorAddRequest, to output) (proto.Access, error) {
	id, err := bus.NewIdentity()
	if err != nil {
		return proto.Access{}, err
	}
	r.PublicKey = id.PublicKey
	reply, err := call[proto.OperatorAddRequest, proto.OperatorAddReply](ctx, conn, proto.EndpointOperatorAdd, r)
	if err != nil {
		return proto.Access{}, addAgain(err, r.Name)
	}
	text, err := bus.FormatCredentials(reply.JWT, id.Seed)
	if err != nil {
		return proto.Access{}, err
	}
	if _, err := to.Write(text); err != nil {
		return proto.Access{}, fmt.Errorf("write credentials of %s: %w", r.Name, err)
	}
	return reply.Access, nil
}

// addAgain returns err, of a call to add an operator, with what to do if that may be done: a
// key without what the controller says of it is of no use, and another one takes its place.
func addAgain(err error, name string) error {
	if !inDoubt(err) {
		return err
	}
	return fmt.Errorf("%w; if it was done, the credentials that %s had count no more: add %s again, as an admin who is still let in", err, name, name)
}

// writeAccess writes how to reach the controller to a file of its own, or says it and what
// it is.
func writeAccess(to output, a proto.Access) error {
	text, err := a.Encode()
	if err != nil {
		return err
	}
	if to.file == nil {
		text = fmt.Appendf(nil, "how to connect, for the file beside the credentials that ends in .json: %s\n", text)
	}
	_, err = to.Write(text)
	return err
}

func (k *kedge) operatorList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List everybody who was given credentials",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the controller says, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.OperatorListRequest, proto.OperatorListReply](ctx, conn, proto.EndpointOperatorList, proto.OperatorListRequest{})
			if err != nil {
				return err
			}
			if asJSON {
				return terminal.WriteJSON(k.Stdout, r)
			}
			k.drawOperators(r.Operators)
			return nil
		})
	}
	return cmd
}

func (k *kedge) drawOperators(operators []proto.Operator) {
	t := table{{"NAME", "ROLE", "KEY", "ADDED", "BY", "EXPIRES", "NOTE"}}
	for _, o := range operators {
		note := ""
		if !o.Revoked.IsZero() {
			note = fmt.Sprintf("revoked %s ago by %s", terminal.Since(o.Revoked, k.Now()), o.RevokedBy)
		}
		key := o.PublicKey[:min(len(o.PublicKey), shortKey)]
		if o.TokenHash != "" {
			key = "token " + o.TokenHash[:min(len(o.TokenHash), shortKey)]
		}
		t.add(o.Name, string(o.Role), key, terminal.Since(o.Added, k.Now()), o.By, expires(o.Expires, k.Now()), note)
	}
	t.draw(k.Stdout)
}

func (k *kedge) operatorRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Let an operator in no more",
		Long:  "Let an operator in no more, neither with credentials nor with a token. Whoever is connected with these credentials is disconnected at once.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
				r, err := call[proto.OperatorRevokeRequest, proto.OperatorRevokeReply](ctx, conn, proto.EndpointOperatorRevoke, proto.OperatorRevokeRequest{Name: args[0]})
				if err != nil {
					return err
				}
				for _, o := range append(r.Others, r.Operator) {
					if _, err := fmt.Fprintf(k.Stdout, "%s: revoked %s\n", terminal.Printable(o.Name), terminal.Printable(o.Credential())); err != nil {
						return err
					}
				}
				if r.Operator.By != proto.ServiceName {
					return nil
				}
				_, err = fmt.Fprintln(k.Stderr, "The controller made these credentials itself: remove admin.creds from its state directory and restart it for new ones.")
				return err
			})
		},
	}
}
