package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kedge/internal/nix"
	"kedge/proto"
)

// errNoOther says why what is not here is not fetched.
var errNoOther = errors.New("it is not in the local store, and there is no cache to fetch it from (cache.from)")

// Bring makes the closure of toplevel present in the local store. What is not
// there it fetches from the caches of others, in their order, as far as one of
// trusted, or our own key, signed it.
func (o *Outside) Bring(ctx context.Context, toplevel proto.StorePath, trusted []proto.PublicKey) error {
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	invalid, err := o.nix.Invalid(ctx, toplevel)
	if err != nil {
		return fmt.Errorf("look for %s: %w", toplevel, err)
	}
	if len(invalid) == 0 {
		return nil
	}
	if len(o.from) == 0 {
		return fmt.Errorf("fetch %s: %w", toplevel, errNoOther)
	}
	var failures []error
	for _, url := range o.from {
		_, err := o.nix.Substitute(ctx, nix.SubstituteOptions{
			From: url, Path: toplevel, TrustedKeys: slices.Concat([]proto.PublicKey{o.key}, trusted),
		})
		if err == nil {
			return nil
		}
		failures = append(failures, fmt.Errorf("from %s: %w", url, err))
	}
	return fmt.Errorf("fetch %s: %w", toplevel, errors.Join(failures...))
}
