package source

import (
	"cmp"
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
	ref, err := r.flakeRef(ctx, revision)
	if err != nil {
		return Tree{}, fmt.Errorf("revision %s of %s: %w", revision, r.location.url, err)
	}
	return Tree{Revision: revision, FlakeRef: ref}, nil
}

func (r *Repository) flakeRef(ctx context.Context, revision proto.Revision) (string, error) {
	if err := r.entryAt(ctx, revision); err != nil {
		return "", err
	}
	if r.entry.File == "" {
		return r.mirror.flakeRef(revision.String(), r.subdir), nil
	}
	return r.wrap(ctx, revision)
}

// flakeRef returns what Nix takes for a commit in a repository of ours.
func (g git) flakeRef(commit, subdir string) string {
	query := url.Values{"rev": {commit}, "shallow": {"1"}}
	if subdir != "" {
		query.Set("dir", subdir)
	}
	u := url.URL{Scheme: "git+file", Path: g.dir, RawQuery: query.Encode()}
	return u.String()
}

// entryAt reports why there is nothing to evaluate at revision, which wraps
// [ErrNoFlake] if git says so, or nil.
func (r *Repository) entryAt(ctx context.Context, revision proto.Revision) error {
	if r.seen == revision {
		return nil
	}
	file := cmp.Or(r.entry.File, path.Join(r.subdir, "flake.nix"))
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
