package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"

	"kedge/proto"
)

// A Tree is a revision that Nix can evaluate.
type Tree struct {
	Revision proto.Revision
	FlakeRef string // to be given to Nix
}

// Checkout makes a fetched revision ready for Nix. The error wraps [ErrNoFlake]
// if there is nothing to evaluate.
func (r *Repository) Checkout(ctx context.Context, revision proto.Revision) (Tree, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.flakeAt(ctx, revision); err != nil {
		return Tree{}, fmt.Errorf("revision %s of %s: %w", revision, r.location.url, err)
	}
	query := url.Values{"rev": {revision.String()}, "shallow": {"1"}}
	if r.subdir != "" {
		query.Set("dir", r.subdir)
	}
	u := url.URL{Scheme: "git+file", Path: r.mirror.dir, RawQuery: query.Encode()}
	return Tree{Revision: revision, FlakeRef: u.String()}, nil
}

// flakeAt reports why there is no flake at revision, which wraps [ErrNoFlake] if
// git says so, or nil.
func (r *Repository) flakeAt(ctx context.Context, revision proto.Revision) error {
	if r.seen == revision {
		return nil
	}
	file := path.Join(r.subdir, "flake.nix")
	_, err := r.run(ctx, r.mirror, "cat-file", "-e", revision.String()+":"+file)
	if failed, ok := errors.AsType[*gitError](err); ok && ctx.Err() == nil && failed.exitCode > 0 {
		return fmt.Errorf("%w: want %s", ErrNoFlake, file)
	}
	if err != nil {
		return err
	}
	r.seen = revision
	return nil
}
