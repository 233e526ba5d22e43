package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) operatorToken() *cobra.Command {
	var role, lifetime, out string
	cmd := &cobra.Command{
		Use:   "token NAME",
		Short: "Make a token for the API over HTTP",
		Long: `Make a token with which NAME calls the controller over HTTP, as its bearer, and print
it, or write it to a file for its owner only. It is shown this once: the controller learns
no more of it than to know it again. A token of that name that was made before does not
count any more; credentials for kedge of that name do. kedge operator list shows both,
and revoke takes both back.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&role, "role", string(proto.RoleViewer), "viewer, operator or admin")
	cmd.Flags().StringVar(&lifetime, "expires", "90d", "how long it is valid, such as 90d or 12h, or never")
	cmd.Flags().StringVarP(&out, "out", "o", "", "write the token to this file, which must not exist")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		valid, err := parseLifetime(lifetime)
		switch {
		case err != nil:
			return usage.Errorf("--expires: %v", err)
		case proto.Role(role).Subjects() == nil:
			return usage.Errorf("--role: must be viewer, operator or admin, got %q", role)
		}
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			return k.makeOperatorToken(ctx, conn, proto.OperatorTokenRequest{Name: args[0], Role: proto.Role(role), For: valid}, out)
		})
	}
	return cmd
}

func (k *kedge) makeOperatorToken(ctx context.Context, conn *bus.Conn, r proto.OperatorTokenRequest, out string) (err error) {
	file, err := newFile(out, k.Stdout, 0o600)
	if err != nil {
		return fmt.Errorf("token of %s: %w", r.Name, err)
	}
	defer func() { err = errors.Join(err, file.end(err)) }()
	token := proto.NewOperatorToken()
	r.Hash = token.Hash()
	reply, err := call[proto.OperatorTokenRequest, proto.OperatorTokenReply](ctx, conn, proto.EndpointOperatorToken, r)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(file, token.Reveal()+"\n"); err != nil {
		return fmt.Errorf("write token of %s: %w", r.Name, err)
	}
	where := ""
	if len(reply.URLs) > 0 {
		where = "; the API is at " + reply.URLs[0]
	}
	_, err = fmt.Fprintf(k.Stderr, "%s may do what a %s may, expires: %s%s\n",
		terminal.Printable(r.Name), r.Role, expires(reply.Operator.Expires, k.Now()), terminal.Printable(where))
	return err
}

// day is as long as people say that it is.
const day = 24 * time.Hour

// parseLifetime parses how long something is valid; zero is for ever.
func parseLifetime(s string) (time.Duration, error) {
	if s == "never" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if text, inDays := strings.CutSuffix(s, "d"); inDays {
		var n uint64
		n, err = strconv.ParseUint(text, 10, 16)
		d = time.Duration(n) * day //nolint:gosec // 16 bits
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("must be such as 90d or 12h, or never, got %q", s)
	}
	return d, nil
}
