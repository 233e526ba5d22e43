package cache

import (
	"context"
	"fmt"
	"slices"

	"kedge/internal/nix"
	"kedge/proto"
)

// shownPaths is how many paths the text of an [UnsignedError] names.
const shownPaths = 3

// An UnsignedError says that paths carry no signature of a trusted key.
type UnsignedError struct {
	Toplevel proto.StorePath
	Paths    []proto.StorePath // in its closure
}

// Error implements error.
func (e *UnsignedError) Error() string {
	shown := e.Paths[:min(len(e.Paths), shownPaths)]
	text := fmt.Sprintf("%d paths in the closure of %s are signed by no trusted key: %s", len(e.Paths), e.Toplevel, shown)
	if len(shown) < len(e.Paths) {
		text += " and others"
	}
	return text + "; sign them where they were built (nix store sign)"
}

// Signed returns nil if every path of the closure of toplevel, which must be in
// the local store, is signed by one of trusted or, because that one signs only
// what we built, by the cache's own key. Otherwise it returns an
// [*UnsignedError]. Signatures in the local store count, and those in the cache.
func (c *Cache) Signed(ctx context.Context, toplevel proto.StorePath, trusted []proto.PublicKey) error {
	return c.signed(ctx, toplevel, trusted, "file://"+c.dir)
}

// Signed is [Cache.Signed]. Only signatures in the local store count.
func (o *Outside) Signed(ctx context.Context, toplevel proto.StorePath, trusted []proto.PublicKey) error {
	return o.signed(ctx, toplevel, trusted)
}

func (o *Outside) signed(ctx context.Context, toplevel proto.StorePath, trusted []proto.PublicKey, stores ...string) error {
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	unsigned, err := o.nix.Untrusted(ctx, nix.UntrustedOptions{
		Path:        toplevel,
		TrustedKeys: slices.Concat([]proto.PublicKey{o.key}, trusted),
		Stores:      stores,
	})
	if err != nil {
		return fmt.Errorf("verify signatures of %s: %w", toplevel, err)
	}
	if len(unsigned) > 0 {
		return &UnsignedError{Toplevel: toplevel, Paths: unsigned}
	}
	return nil
}
