package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"kedge/internal/durable"
	"kedge/internal/narinfo"
	"kedge/proto"
)

// errDiffers says why what is there is copied anew.
var errDiffers = fmt.Errorf("%w: it is not signed by us, and not what the local store has", narinfo.ErrInvalid)

// countersign adds our signature to what the cache has of the closures of toplevels, all of
// which can be fetched: it was relayed before, or our key is another one now. Hosts fetch it
// all the while, and those that trust the old key alone do so afterwards.
//
// The cache's word counts for no content. Signed is what is in the local store's closures of
// toplevels, if the closure of the path is the same there: which of that the path refers to
// itself, and which through others, the cache says. What differs is discarded, to be copied
// anew.
func (c *Cache) countersign(ctx context.Context, toplevels []proto.StorePath) error {
	there := make(walked)
	for _, t := range toplevels {
		if gaps, err := c.walk(t, false, there); err != nil || len(gaps) > 0 {
			return err // somebody else removed something: the next walk sees it, too
		}
	}
	vouched, err := c.nix.Closure(ctx, toplevels...)
	if err != nil {
		return err
	}
	var unsigned []proto.StorePath
	for _, p := range vouched {
		if info, ok := there[p.Path]; ok && !info.ours {
			unsigned = append(unsigned, p.Path)
		}
	}
	here, err := c.nix.Closures(ctx, unsigned...)
	if err != nil {
		return err
	}
	c.log.InfoContext(ctx, "paths in the cache are signed by its key as well", "paths", len(unsigned))
	var group errgroup.Group
	group.SetLimit(maxSyncs)
	for _, p := range unsigned {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			err := errDiffers
			if slices.Equal(there.closure(p), here[p]) {
				err = c.signInPlace(there[p].Info)
			}
			if errors.Is(err, narinfo.ErrInvalid) {
				return c.discard(ctx, []gap{{p, err}})
			}
			return err
		})
	}
	return group.Wait()
}

// signInPlace adds our signature of info to the file that says it. The old content is there
// until the new one is, whatever happens. The error wraps [narinfo.ErrInvalid] if the file
// says something else.
func (c *Cache) signInPlace(info narinfo.Info) error {
	// Nix signs, and verifies, each once and in their order.
	ordered := slices.Compact(slices.SortedFunc(slices.Values(info.References), proto.StorePath.Compare))
	if !slices.Equal(ordered, info.References) {
		return errDiffers
	}
	file := c.narInfoFile(info.Path)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	signature, err := info.Sign(c.secret)
	if err != nil {
		return err
	}
	signed := append(bytes.Clone(text), "Sig: "+signature+"\n"...)
	again, err := narinfo.Parse(signed)
	if err != nil {
		return err
	}
	if again.Path != info.Path || !again.SignedBy(c.key) { // also where the last line has no end
		return errDiffers
	}
	c.forget(info.Path)
	return durable.WriteFile(file, signed, filePerm)
}
