package nix

import (
	"context"
	"errors"
	"io"
	"strings"

	"kedge/proto"
)

// SubstituteOptions says what [CLI.Substitute] or [CLI.Repair] brings. All of it is required.
type SubstituteOptions struct {
	// From is the URL of a binary cache, such as "http://build:8080/cache",
	// without parameters: one of them would turn the signatures off.
	From string
	// Hidden is set if From is not for everybody who may list processes.
	Hidden bool
	// Path is brought, by [CLI.Substitute] with all that it refers to.
	Path proto.StorePath
	// TrustedKeys are the keys of which one must have signed every path that is
	// brought. The keys in nix.conf do not count. Their names must differ: of
	// two keys with one name Nix knows only one.
	TrustedKeys []proto.PublicKey
}

func (o SubstituteOptions) validate() error {
	switch {
	case o.From == "" || strings.ContainsAny(o.From, " \t\r\n?#"):
		return errors.New("substitute: From must be one URL without parameters")
	case o.Path.IsZero() || len(o.TrustedKeys) == 0:
		return errors.New("substitute: a path and at least one key are required")
	}
	return nil
}

// errNotBrought is the error when Nix has not said more than on its stderr.
var errNotBrought = errors.New("the cache does not have the path, or did not deliver it")

// Substitute makes a path and all that it refers to valid in the local store,
// many at once, and returns them as they are registered then, sorted. What is
// there already is not brought again. What is brought is on the disk on return
// (with Nix 2.25 and newer), and stays, also when the rest did not come, until
// garbage is collected without a root for it.
//
// It is one process, where copying and asking would be three.
func (c *CLI) Substitute(ctx context.Context, o SubstituteOptions) (proto.Closure, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	var closure proto.Closure
	err := c.hiding(o).converse(ctx, "nix-store", []string{"--serve", "--write"}, func(to io.Writer, from io.Reader) error {
		conn := newServeConn(to, from)
		conn.greet()
		if !conn.substitute(o.Path) && conn.err == nil {
			return errNotBrought
		}
		closure = conn.closure(o.Path)
		return conn.err
	}, o.settings()...)
	if err != nil {
		return nil, err
	}
	return closure, nil
}

// settings make Nix bring paths from o's cache, and from no other.
func (o SubstituteOptions) settings() []Setting {
	keys := make([]string, len(o.TrustedKeys))
	for i, k := range o.TrustedKeys {
		keys[i] = k.String()
	}
	settings := []Setting{{"substitute", "true"}}
	if !o.Hidden {
		settings = append(settings, Setting{"substituters", o.From})
	}
	return append(settings, []Setting{
		// By default Nix remembers for an hour that a cache lacks a path, and for
		// a month what it said of one, also a hash or a signature mended since.
		{"narinfo-cache-negative-ttl", "0"},
		{"narinfo-cache-positive-ttl", "0"},
		// By default it waits for minutes, again and again, for one that says nothing.
		{"connect-timeout", "15"},
		{"stalled-download-timeout", "20"},
		{"download-attempts", "3"},
		{"fsync-store-paths", "true"},
		{"require-sigs", "true"},
		{"trusted-public-keys", strings.Join(keys, " ")},
	}...)
}

// hiding returns c with o's cache in its environment, if it is to be hidden.
func (c *CLI) hiding(o SubstituteOptions) *CLI {
	if !o.Hidden {
		return c
	}
	hiding := *c
	hiding.Environ = c.environ()
	const name = "NIX_CONFIG"
	text := name + "="
	for _, v := range hiding.Environ {
		if strings.HasPrefix(v, name+"=") {
			text = v + "\n" // the later one of two settings counts
		}
	}
	hiding.Environ = append(hiding.Environ, text+"substituters = "+o.From)
	return &hiding
}
