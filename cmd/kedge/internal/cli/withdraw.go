package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

// withdrawOptions are the flags of kedge release withdraw.
type withdrawOptions struct {
	keys      []string
	list, out string
}

func (k *kedge) releaseWithdraw() *cobra.Command {
	var o withdrawOptions
	cmd := &cobra.Command{
		Use:   "withdraw DIGEST|FILE...",
		Short: "Sign that releases must not be installed any more",
		Long: `Sign that releases must not be installed any more. They are named by their files, or
by their digests, as kedge host show and kedge release show print them. A release key
signs. It asks nobody: what is signed is written to a file, or to standard output, for
kedge publish, which tells it to every host.

What was withdrawn stays so: a list has all that the one before it had, which is in
the file of --list (kedge release withdrawn --out writes it).`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringArrayVar(&o.keys, "key", nil, "sign with the secret release key in this `FILE`; may be given several times")
	cmd.Flags().StringVar(&o.list, "list", "", "add to the list in this `FILE`")
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "write the list to this file, which must not exist")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(o.keys) == 0 {
			return usage.Errorf("--key: at least one is required")
		}
		return k.withdraw(args, o)
	}
	return cmd
}

func (k *kedge) withdraw(args []string, o withdrawOptions) error {
	keys, err := readKeys(o.keys)
	if err != nil {
		return err
	}
	w := proto.Withdrawals{Issued: k.Now().UTC(), Serial: k.timeSerial()}
	if o.list != "" {
		e, err := readEnvelope(o.list)
		if err != nil {
			return err
		}
		before, err := proto.ReadWithdrawals(e)
		if err != nil {
			return fmt.Errorf("read %s: %w", o.list, err)
		}
		w.Releases, w.Serial = before.Releases, max(w.Serial, before.Serial+1)
	}
	for _, a := range args {
		digest, err := releaseDigest(a)
		if err != nil {
			return err
		}
		if !slices.Contains(w.Releases, digest) {
			w.Releases = append(w.Releases, digest)
		}
	}
	e, err := w.Sign(keys...)
	if err != nil {
		return fmt.Errorf("sign the list: %w", err)
	}
	return k.writeStatement(o.out, e)
}

// releaseDigest returns the digest of the release that an argument names.
func releaseDigest(arg string) (proto.Digest, error) {
	if strings.HasPrefix(arg, "sha256:") {
		d, err := proto.ParseDigest(arg)
		if err != nil {
			return d, usage.Errorf("%w", err)
		}
		return d, nil
	}
	e, err := readEnvelope(arg)
	if err != nil {
		return proto.Digest{}, err
	}
	if _, err := proto.ReadRelease(e); err != nil {
		return proto.Digest{}, fmt.Errorf("read %s: %w", arg, err)
	}
	return proto.DigestOf(e.Payload), nil
}

func (k *kedge) releaseWithdrawn() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "withdrawn",
		Short: "List the releases that were withdrawn",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write the list as it was signed to this file, which must not exist")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.WithdrawalsRequest, proto.WithdrawalsReply](ctx, conn, proto.EndpointWithdrawals, proto.WithdrawalsRequest{})
			if err != nil {
				return err
			}
			if r.List == nil {
				return errors.New("no release was withdrawn")
			}
			if out != "" {
				return k.writeStatement(out, r.List)
			}
			w, err := proto.ReadWithdrawals(*r.List)
			if err != nil {
				return err
			}
			for _, d := range w.Releases {
				fmt.Fprintln(k.Stdout, d)
			}
			return nil
		})
	}
	return cmd
}

// publishWithdrawals has a list of withdrawals told to every host.
func (k *kedge) publishWithdrawals(ctx context.Context, conn *bus.Conn, list proto.Envelope) error {
	r, err := call[proto.WithdrawRequest, proto.WithdrawReply](ctx, conn, proto.EndpointWithdraw, proto.WithdrawRequest{List: list})
	if err != nil {
		return err
	}
	w, err := proto.ReadWithdrawals(list)
	if err != nil {
		return err
	}
	fmt.Fprintf(k.Stdout, "withdrawn by list %s: %d\n", r.Serial, len(w.Releases))
	for _, h := range r.Hosts {
		fmt.Fprintf(k.Stdout, "%s: was assigned one of them; publish another one for it\n", h)
	}
	return nil
}
