package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/terminal"
	"kedge/proto"
	"kedge/proto/bus"
)

// tokenLifetime is how long a token may be used unless something else is said.
const tokenLifetime = time.Hour

func (k *kedge) hostToken() *cobra.Command {
	var out string
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use:   "token NAME",
		Short: "Make a token with which a host enrols itself, once",
		Long: `Make a token with which a host of that name gets credentials, once, and print it, or
write it to a file for its owner only. It is made here; the controller learns no more of
it than to know it again. A token that was made for the host before does not count any
more. When it is used the host gets a new key, and the one that it had is revoked.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write the token to this file, which must not exist")
	cmd.Flags().DurationVar(&lifetime, "for", tokenLifetime, "how long it may be used")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := parseHost(args[0])
		if err != nil {
			return err
		}
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			return k.makeToken(ctx, conn, host, lifetime, out)
		})
	}
	return cmd
}

func (k *kedge) makeToken(ctx context.Context, conn *bus.Conn, host proto.HostName, lifetime time.Duration, out string) (err error) {
	file, err := newFile(out, k.Stdout, 0o600)
	if err != nil {
		return fmt.Errorf("token of %s: %w", host, err)
	}
	defer func() { err = errors.Join(err, file.end(err)) }()
	token := proto.NewToken(host)
	r, err := call[proto.HostTokenRequest, proto.HostTokenReply](ctx, conn, proto.EndpointHostToken,
		proto.HostTokenRequest{Host: host, Hash: token.Hash(), For: lifetime})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(file, token.Reveal()+"\n"); err != nil {
		return fmt.Errorf("write token of %s: %w", host, err)
	}
	where := "URL"
	if len(r.URLs) > 0 {
		where = r.URLs[0]
	}
	var pins strings.Builder
	for _, p := range r.Pins {
		pins.WriteString("--pin " + p.String() + " ")
	}
	_, err = fmt.Fprintf(k.Stderr, "valid for %s; on %s, as root: kedge-agent enroll %s%s, and the token on its standard input\n",
		terminal.Length(r.Expires.Sub(k.Now())), host, pins.String(), terminal.Printable(where))
	return err
}
