package nix

import (
	"cmp"
	"context"
	"errors"

	"kedge/proto"
)

// CopyOptions says what [CLI.Copy] copies, and where. Paths are required, and either To
// or SSH.
type CopyOptions struct {
	// To is the URL of the other store, such as
	// "file:///var/cache/kedge?compression=zstd&secret-key=/path".
	To string
	// SSH is the other store if it is that of a machine that is reached by SSH, which
	// takes only what it trusts the signature of.
	SSH SSHStore
	// NetrcFile has the credentials of To over HTTP; empty for Nix' own file.
	NetrcFile string
	// Direct is whether no proxy is asked for To.
	Direct bool
	// CacheDir takes the place of that of the [CLI], if it is set.
	CacheDir string
	// Paths are copied with their closures. What the target has already is not
	// copied again.
	Paths []proto.StorePath
}

func (o CopyOptions) validate() error {
	switch {
	case (o.To == "") == (o.SSH.URL == ""):
		return errors.New("copy store paths: To must be set, or SSH")
	case len(o.Paths) == 0:
		return errors.New("copy store paths: no paths")
	}
	return nil
}

// Copy copies the closures of o.Paths from the local store to another one. It
// can be repeated: paths that arrived stay. For the other direction, see
// [CLI.Substitute].
func (c *CLI) Copy(ctx context.Context, o CopyOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	to := o.To
	if o.SSH.URL != "" {
		c, to = o.SSH.over(c), o.SSH.store()
	}
	settings := []Setting{
		// By default Nix believes for a month that a cache has what it had once.
		{"narinfo-cache-positive-ttl", "0"},
		{"extra-experimental-features", "nix-command"},
	}
	if o.NetrcFile != "" {
		settings = append(settings, Setting{"netrc-file", o.NetrcFile})
	}
	c = c.within(o)
	_, err := c.run(ctx, "nix", []string{"copy", "--to", to}, texts(o.Paths), settings...)
	return err
}

// within returns c with the cache that o asks for, and without a proxy if it does.
func (c *CLI) within(o CopyOptions) *CLI {
	other := *c
	other.CacheDir = cmp.Or(o.CacheDir, c.CacheDir)
	if o.Direct {
		other.Environ = append(other.environ(), "no_proxy=*", "NO_PROXY=*")
	}
	return &other
}

// Sign signs the closures of paths in the local store, with the key in a file. Whoever
// is given them afterwards is given the signatures, too. It can be repeated.
func (c *CLI) Sign(ctx context.Context, keyFile string, paths ...proto.StorePath) error {
	_, err := c.run(ctx, "nix", []string{"store", "sign", "--recursive", "--key-file", keyFile}, texts(paths),
		Setting{"extra-experimental-features", "nix-command"})
	return err
}
