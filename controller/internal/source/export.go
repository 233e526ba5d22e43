package source

import (
	"context"
	"net/url"
	"os"
	"path/filepath"

	"kedge/internal/durable"
	"kedge/proto"
)

// asTheyAre has git write files as they are in a tree, as Nix reads them, whatever
// attributes they have.
const asTheyAre = "* -text -ident -filter -working-tree-encoding\n"

// export writes the files of a tree, which is that of revision with its submodules,
// and returns what Nix takes for them. A git reference could not be of that revision,
// as this one is. What was exported before goes.
func (r *Repository) export(ctx context.Context, revision proto.Revision, tree string) (flakeRef string, err error) {
	time, err := r.commitTime(ctx, revision)
	if err != nil {
		return "", err
	}
	attributes := filepath.Join(r.modules.dir, ".git", "info", "attributes")
	if err := durable.MkdirAll(filepath.Dir(attributes), dirPerm); err != nil {
		return "", err
	}
	if err := os.WriteFile(attributes, []byte(asTheyAre), 0o600); err != nil {
		return "", err
	}
	if err := os.RemoveAll(r.trees()); err != nil {
		return "", err
	}
	dir := filepath.Join(r.trees(), revision.String())
	if err := os.MkdirAll(dir, dirPerm); err != nil {
		return "", err
	}
	index, err := r.newIndex(r.modules)
	if err != nil {
		return "", err
	}
	for _, args := range [][]string{{"read-tree", tree}, {"checkout-index", "--all", "--quiet", "--prefix=" + dir + "/"}} {
		if _, err := r.run(ctx, index, args...); err != nil {
			return "", err
		}
	}
	query := url.Values{"rev": {revision.String()}, "lastModified": {time}}
	if r.subdir != "" {
		query.Set("dir", r.subdir)
	}
	u := url.URL{Scheme: "path", OmitHost: true, Path: dir, RawQuery: query.Encode()}
	return u.String(), nil
}

// trees is where files are exported to.
func (r *Repository) trees() string { return filepath.Join(filepath.Dir(r.mirror.dir), "trees") }

// commitTime returns when a commit was made, in seconds since 1970.
func (r *Repository) commitTime(ctx context.Context, revision proto.Revision) (string, error) {
	return r.output(ctx, r.mirror, "log", "-1", "--no-show-signature", "--format=%ct", revision.String())
}
