package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) nats() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "nats",
		Short: "Say what a NATS server of somebody else's needs",
	}
	cmd.AddCommand(k.natsConfig())
	return cmd
}

func (k *kedge) natsConfig() *cobra.Command {
	var selfSigned bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print what a NATS server of somebody else's needs, and who holds which key",
		Long: `Print what a NATS server of somebody else's, or each server of a cluster, needs: the
operator, the accounts with who is revoked, and limits, as a piece of its configuration.
Nothing in it is secret. Before there is a server to ask, kedge-controller nats-config
prints the same.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&selfSigned, "self-signed", false, "print accounts for an operator of their own, to be imported with nsc")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.ExternalConfigRequest, proto.ExternalConfigReply](ctx, conn, proto.EndpointNATSConfig, proto.ExternalConfigRequest{SelfSigned: selfSigned})
			if err != nil {
				return err
			}
			_, err = io.WriteString(k.Stdout, r.Text)
			return err
		})
	}
	return cmd
}
