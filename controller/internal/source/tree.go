package source

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path"
	"strconv"

	"kedge/internal/nix"
	"kedge/proto"
)

// A Tree is a revision that Nix can evaluate.
type Tree struct {
	Revision proto.Revision
	FlakeRef string // to be given to Nix
}

// A Store takes the files of a revision, and keeps them from being collected by a link,
// root; a [*nix.CLI] is one.
type Store interface {
	AddSource(ctx context.Context, root string, tree *nix.File) (proto.StorePath, error)
}

// Checkout makes a fetched revision ready for Nix, and brings its submodules: all of it is in
// the store then, where whoever evaluates it can read it. The error wraps [ErrNoFlake] if
// there is nothing to evaluate, [ErrSubmodule] or [ErrTooLarge].
func (r *Repository) Checkout(ctx context.Context, revision proto.Revision) (Tree, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref, err := r.flakeRef(ctx, revision)
	if err != nil {
		return Tree{}, fmt.Errorf("revision %s of %s: %w", revision, r.location.url, r.doubt(ctx, err))
	}
	return Tree{Revision: revision, FlakeRef: ref}, nil
}

// flakeRef returns what Nix takes for a revision. A path is of that revision if it says
// so.
func (r *Repository) flakeRef(ctx context.Context, revision proto.Revision) (string, error) {
	o, err := r.opened(ctx)
	if err != nil {
		return "", err
	}
	defer r.forget()
	c, err := o.commit(revision.String())
	if err != nil {
		return "", err
	}
	f := files{trees: map[string][]entry{}, most: r.maxBytes}
	tree, err := f.tree(o, c.tree, "")
	if err != nil {
		return "", err
	}
	if r.submodules && len(f.submodules) > 0 {
		modules, err := r.assemble(ctx, revision, tree, &f)
		defer modules.close()
		if err != nil {
			return "", err
		}
	}
	if at(tree, r.entryFile()) == nil {
		return "", fmt.Errorf("%w: want %s", ErrNoFlake, r.entryFile())
	}
	if r.entry.File != "" {
		tree = &nix.File{Entries: map[string]*nix.File{"flake.nix": nix.Text(r.entry.Flake("./source", "")), "source": tree}}
	}
	timeout := r.timeout * patientTimes
	inTime, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w within %s", errNoEnd, timeout))
	defer cancel()
	added, err := r.store.AddSource(inTime, r.root, tree)
	if err != nil {
		return "", err
	}
	query := url.Values{"rev": {revision.String()}, "lastModified": {strconv.FormatInt(c.time, 10)}}
	if r.subdir != "" {
		query.Set("dir", r.subdir)
	}
	u := url.URL{Scheme: "path", OmitHost: true, Path: added.String(), RawQuery: query.Encode()}
	return u.String(), nil
}

// opened returns what reads our copy: what Fetch has started, if it has.
func (r *Repository) opened(ctx context.Context) (*objects, error) {
	if r.reads != nil && r.reads.err == nil && r.reads.ctx.Err() == nil {
		return r.reads, nil
	}
	r.forget()
	o, err := r.open(ctx, r.mirror)
	if err == nil {
		r.reads = o
	}
	return o, err
}

// forget lets go of what reads our copy.
func (r *Repository) forget() {
	r.reads.close()
	r.reads = nil
}

// entryFile returns the file that is evaluated.
func (r *Repository) entryFile() string {
	return cmp.Or(r.entry.File, path.Join(r.subdir, "flake.nix"))
}
