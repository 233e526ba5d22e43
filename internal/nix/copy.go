package nix

import (
	"context"
	"errors"
	"strings"

	"kedge/proto"
)

// CopyOptions says what [CLI.Copy] copies, and which signatures it wants.
type CopyOptions struct {
	// From or To is the URL of the other store, such as
	// "http://build:8080/cache" or
	// "file:///var/cache/kedge?compression=zstd&secret-key=/path"; the local
	// store is the other end. Exactly one of them is set.
	From, To string
	// Paths are copied with their closures; at least one. What the target has
	// already is not copied again.
	Paths []proto.StorePath
	// TrustedKeys are the keys of which one must have signed every path that is
	// copied from From. The keys in nix.conf do not count. Their names must
	// differ: of two keys with one name Nix knows only one.
	TrustedKeys []proto.PublicKey
	// Fresh asks From anew what it has. Otherwise Nix believes for a month what
	// it remembers: also a signature, a hash or a URL that was mended since.
	Fresh bool
	// Unsigned accepts paths from From without a signature.
	Unsigned bool
}

func (o CopyOptions) validate() error {
	switch {
	case (o.From == "") == (o.To == ""):
		return errors.New("copy store paths: exactly one of From and To must be set")
	case len(o.Paths) == 0:
		return errors.New("copy store paths: no paths")
	case o.From != "" && o.Unsigned == (len(o.TrustedKeys) > 0):
		return errors.New("copy store paths: copying from a store needs either trusted keys or Unsigned")
	}
	return nil
}

// Copy copies the closures of o.Paths between the local store and another one.
// It can be repeated: paths that arrived stay. Paths that it brings to the
// local store are on the disk when it returns (with Nix 2.25 and newer), and
// are protected from garbage collection only by roots that exist by then.
func (c *CLI) Copy(ctx context.Context, o CopyOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	keys := make([]string, len(o.TrustedKeys))
	for i, k := range o.TrustedKeys {
		keys[i] = k.String()
	}
	args := []string{"copy"}
	settings := []Setting{{"extra-experimental-features", "nix-command"}}
	if o.To != "" {
		args = append(args, "--to", o.To)
	} else {
		args = append(args, "--from", o.From)
		settings = append(settings,
			// By default Nix remembers for an hour that a cache lacks a path.
			Setting{"narinfo-cache-negative-ttl", "0"},
			Setting{"fsync-store-paths", "true"},
			Setting{"require-sigs", "true"},
			Setting{"trusted-public-keys", strings.Join(keys, " ")},
		)
		if o.Fresh {
			settings = append(settings, Setting{"narinfo-cache-positive-ttl", "0"})
		}
		if o.Unsigned {
			args = append(args, "--no-check-sigs")
		}
	}
	_, err := c.run(ctx, "nix", args, texts(o.Paths), settings...)
	return err
}
