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

// Checkout makes a fetched revision ready for Nix, and brings its submodules. The
// error wraps [ErrNoFlake] if there is nothing to evaluate, or [ErrSubmodule].
func (r *Repository) Checkout(ctx context.Context, revision proto.Revision) (Tree, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref, err := r.flakeRef(ctx, revision)
	if err != nil {
		return Tree{}, fmt.Errorf("revision %s of %s: %w", revision, r.location.url, r.doubt(ctx, err))
	}
	return Tree{Revision: revision, FlakeRef: ref}, nil
}

func (r *Repository) flakeRef(ctx context.Context, revision proto.Revision) (string, error) {
	tree, in := revision.String(), r.mirror
	if r.submodules {
		assembled, err := r.assemble(ctx, revision)
		if err != nil {
			return "", err
		}
		if assembled != "" {
			tree, in = assembled, r.modules
		}
	}
	if err := r.entryAt(ctx, in, tree); err != nil {
		return "", err
	}
	switch {
	case r.entry.File != "":
		return r.wrap(ctx, revision, in, tree)
	case tree != revision.String():
		return r.export(ctx, revision, tree)
	}
	return in.flakeRef(tree, r.subdir), nil
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

// entryFile returns the file that is evaluated.
func (r *Repository) entryFile() string {
	return cmp.Or(r.entry.File, path.Join(r.subdir, "flake.nix"))
}

// entryAt reports why there is nothing to evaluate in a tree of a repository of ours,
// which wraps [ErrNoFlake] if git says so, or nil.
func (r *Repository) entryAt(ctx context.Context, g git, tree string) error {
	if r.seen == tree {
		return nil
	}
	file := r.entryFile()
	_, err := r.run(ctx, g, "cat-file", "-e", tree+":"+file)
	if failed, ok := errors.AsType[*gitError](err); ok && ctx.Err() == nil && failed.exitCode > 0 {
		return fmt.Errorf("%w: want %s", ErrNoFlake, file)
	}
	if err != nil {
		return err
	}
	r.seen = tree
	return nil
}
