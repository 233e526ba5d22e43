package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kedge/proto"
)

// wrappedRef keeps git from collecting the flake that was made last.
const wrappedRef = "refs/kedge/wrapped"

// wrap makes a flake of a revision that has none, whose files are in a tree of a
// repository of ours, and returns what Nix takes for it: a commit of ours, with a
// flake.nix and those files beside it. The same tree makes the same commit.
func (r *Repository) wrap(ctx context.Context, revision proto.Revision, in git, tree string) (flakeRef string, err error) {
	time, err := r.commitTime(ctx, revision)
	if err != nil {
		return "", err
	}
	index, err := r.newIndex(in, "GIT_AUTHOR_NAME=kedge", "GIT_AUTHOR_EMAIL=", "GIT_AUTHOR_DATE=@"+time+" +0000",
		"GIT_COMMITTER_NAME=kedge", "GIT_COMMITTER_EMAIL=", "GIT_COMMITTER_DATE=@"+time+" +0000")
	if err != nil {
		return "", err
	}
	file := filepath.Join(filepath.Dir(r.mirror.dir), "flake.nix")
	if err := os.WriteFile(file, []byte(r.entry.Flake("./source", "")), 0o600); err != nil {
		return "", err
	}
	blob, err := r.output(ctx, index, "hash-object", "-w", "--no-filters", "--", file)
	if err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"read-tree", "--prefix=source/", tree},
		{"update-index", "--add", "--cacheinfo", "100644," + blob + ",flake.nix"},
	} {
		if _, err := r.run(ctx, index, args...); err != nil {
			return "", err
		}
	}
	if tree, err = r.output(ctx, index, "write-tree"); err != nil {
		return "", err
	}
	commit, err := r.output(ctx, index, "commit-tree", "-m", fmt.Sprintf("a flake of %s", revision), tree)
	if err != nil {
		return "", err
	}
	if _, err := r.run(ctx, index, "update-ref", "--", wrappedRef, commit); err != nil {
		return "", err
	}
	return index.flakeRef(commit, ""), nil
}

// newIndex returns a repository of ours with an empty index, in which trees are put
// together.
func (r *Repository) newIndex(g git, env ...string) (git, error) {
	file := filepath.Join(filepath.Dir(r.mirror.dir), "index")
	for _, name := range []string{file, file + ".lock"} { // of a git that was killed
		if err := os.RemoveAll(name); err != nil {
			return git{}, err
		}
	}
	g.env = slices.Concat(g.env, env, []string{"GIT_INDEX_FILE=" + file})
	return g, nil
}

// output is run for a command that prints one line.
func (r *Repository) output(ctx context.Context, g git, args ...string) (string, error) {
	out, err := r.run(ctx, g, args...)
	return strings.TrimSpace(out), err
}
