package closure

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"kedge/internal/nix"
	"kedge/proto"
)

// A Gateway is Nix, with ways to caches that Nix alone does not find.
type Gateway struct {
	*nix.CLI       // required
	Ways     *Ways // required
}

var (
	_ Substituter = Gateway{}
	_ Reader      = Gateway{}
)

// Substitute is [nix.CLI.Substitute].
func (g Gateway) Substitute(ctx context.Context, o nix.SubstituteOptions) (c proto.Closure, err error) {
	err = g.through(ctx, &o, func() error {
		c, err = g.CLI.Substitute(ctx, o)
		return err
	})
	return c, err
}

// Repair is [nix.CLI.Repair].
func (g Gateway) Repair(ctx context.Context, o nix.SubstituteOptions) error {
	return g.through(ctx, &o, func() error { return g.CLI.Repair(ctx, o) })
}

// through calls do while o leads to where it led before, by a relay if it takes
// one.
func (g Gateway) through(ctx context.Context, o *nix.SubstituteOptions, do func() error) error {
	cache, err := url.Parse(o.From)
	if err != nil {
		return fmt.Errorf("cache %q: %w", o.From, err)
	}
	if g.Ways.straight(cache) {
		return do()
	}
	r, err := openRelay(ctx, g.Ways, cache)
	if err != nil {
		return err
	}
	defer r.close()
	o.From, o.Hidden = r.url, true
	return r.explain(do())
}

// translate changes what the command that failed said.
func translate(err error, words *strings.Replacer) {
	if failed, ok := errors.AsType[*nix.CommandError](err); ok {
		failed.Stderr = words.Replace(failed.Stderr)
	}
}
