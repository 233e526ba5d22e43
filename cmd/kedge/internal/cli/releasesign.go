package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kedge/internal/usage"
	"kedge/proto"
)

// signOptions are the flags of kedge release sign.
type signOptions struct {
	keys      []string
	serial    uint64
	revision  string
	out       string
	unchecked bool
}

func (k *kedge) releaseSign() *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use:   "sign HOST=STOREPATH|FILE",
		Short: "Sign that a toplevel was built for a host",
		Long: `Sign that a toplevel was built for a host, where it was built: its closure must be
in the local Nix store. Or add a signature to a release that somebody else signed,
which is in a file, after comparing it with the local store: with two of three keys,
two machines that do not trust each other build the same and sign the same.

It asks nobody but Nix. What is signed is written to a file, or to standard output,
for kedge publish. The serial must be higher than that of every release that was
published for the host before; by default it is the time, in seconds since 1970.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringArrayVar(&o.keys, "key", nil, "sign with the secret key in this `FILE`; may be given several times")
	cmd.Flags().Uint64Var(&o.serial, "serial", 0, "number of the release (default the time)")
	cmd.Flags().StringVar(&o.revision, "revision", "", "git `REVISION` that the toplevel was built from")
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "write the release to this file, which must not exist")
	cmd.Flags().BoolVar(&o.unchecked, "unchecked", false, "add a signature without comparing the release with the local store")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(o.keys) == 0 {
			return usage.Errorf("--key: at least one is required")
		}
		host, path, made := strings.Cut(args[0], "=")
		if !made {
			return k.countersign(cmd.Context(), args[0], o)
		}
		if o.unchecked {
			return usage.Errorf("--unchecked: is for a release in a file")
		}
		r, err := k.parseRelease(host, path, o)
		if err != nil {
			return &usage.Error{Err: err}
		}
		return k.signRelease(cmd.Context(), r, o)
	}
	return cmd
}

// parseRelease returns what is to be signed, but for its closure.
func (k *kedge) parseRelease(host, path string, o signOptions) (r proto.Release, err error) {
	if r.Host, err = proto.ParseHostName(host); err != nil {
		return r, err
	}
	if r.Toplevel, err = proto.ParseStorePath(path); err != nil {
		return r, err
	}
	if o.revision != "" {
		if r.Revision, err = proto.ParseRevision(o.revision); err != nil {
			return r, err
		}
	}
	if r.Serial = proto.Serial(o.serial); o.serial == 0 {
		r.Serial = k.timeSerial()
	}
	return r, nil
}

// timeSerial is a serial that is higher than every one that was made so before.
func (k *kedge) timeSerial() proto.Serial {
	return proto.Serial(max(k.Now().Unix(), 1)) //nolint:gosec // not negative
}

func (k *kedge) signRelease(ctx context.Context, r proto.Release, o signOptions) error {
	keys, err := readKeys(o.keys)
	if err != nil {
		return err
	}
	closure, err := k.Closure(ctx, r.Toplevel)
	if err != nil {
		return fmt.Errorf("list the closure of %s: %w", r.Toplevel, err)
	}
	r.Closure = closure.Digest()
	e, err := r.Sign(keys...)
	if err != nil {
		return fmt.Errorf("sign the release of %s: %w", r.Host, err)
	}
	return k.writeStatement(o.out, e)
}

// countersign adds signatures to the release in a file.
func (k *kedge) countersign(ctx context.Context, path string, o signOptions) error {
	if o.serial != 0 || o.revision != "" {
		return usage.Errorf("--serial, --revision: are in the release already")
	}
	keys, err := readKeys(o.keys)
	if err != nil {
		return err
	}
	e, err := readEnvelope(path)
	if err != nil {
		return err
	}
	r, err := proto.ReadRelease(e)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if !o.unchecked {
		closure, err := k.Closure(ctx, r.Toplevel)
		if err != nil {
			return fmt.Errorf("list the closure of %s: %w", r.Toplevel, err)
		}
		if got := closure.Digest(); got != r.Closure {
			return fmt.Errorf("%s says that the closure of %s is %s, and the local store that it is %s: it is not signed", path, r.Toplevel, r.Closure, got)
		}
	}
	if e = e.Countersign(keys...); len(e.Signatures) > proto.MaxSignatures {
		return fmt.Errorf("%s has %d signatures then, at most %d are read", path, len(e.Signatures), proto.MaxSignatures)
	}
	return k.writeStatement(o.out, e)
}
