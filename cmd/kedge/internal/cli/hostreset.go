package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"kedge/internal/keyfile"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) hostReset() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "reset NAME",
		Short: "Let a host accept again that lost what it remembered",
		Long: `Let a host accept again that lost what it remembered of what it had accepted, and
therefore accepts nothing (reason floors-lost). Find out first why it did: somebody
may want it to run something old. The reset counts once, for this loss.

The controller signs, or, with --key, a spare key does, here.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&key, "key", "", "sign with the secret controller key in this `FILE`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := parseHost(args[0])
		if err != nil {
			return err
		}
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			req := proto.HostResetRequest{Host: host}
			if key != "" {
				if req.Reset, err = k.signReset(ctx, conn, host, key); err != nil {
					return err
				}
			}
			r, err := call[proto.HostResetRequest, proto.HostResetReply](ctx, conn, proto.EndpointHostReset, req)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(k.Stdout, "%s: accepts again, from serial %s\n", host, r.Serial)
			return err
		})
	}
	return cmd
}

// signReset signs the reset that a host waits for, with a key that is kept here.
func (k *kedge) signReset(ctx context.Context, conn *bus.Conn, host proto.HostName, file string) (*proto.Envelope, error) {
	secret, err := keyfile.Read(file)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	v, err := call[proto.HostRequest, proto.HostReply](ctx, conn, proto.EndpointHost, proto.HostRequest{Host: host})
	if err != nil {
		return nil, err
	}
	if v.Host.Status == nil || v.Host.Status.Challenge == "" {
		return nil, fmt.Errorf("host %s does not wait for a reset", host)
	}
	withdrawn, err := call[proto.WithdrawalsRequest, proto.WithdrawalsReply](ctx, conn, proto.EndpointWithdrawals, proto.WithdrawalsRequest{})
	if err != nil {
		return nil, err
	}
	r := proto.Reset{Host: host, Challenge: v.Host.Status.Challenge, Issued: k.Now().UTC(), Serial: v.Host.Want.Serial}
	if withdrawn.List != nil {
		list, err := proto.ReadWithdrawals(*withdrawn.List)
		if err != nil {
			return nil, err
		}
		r.WithdrawalSerial = list.Serial
	}
	e, err := r.Sign(secret)
	if err != nil {
		return nil, fmt.Errorf("sign the reset of %s: %w", host, err)
	}
	return &e, nil
}
