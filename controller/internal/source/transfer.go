package source

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// transfer is askAt for a fetch into a repository of ours. Of fetches that did not come to
// their end, before it or by it, nothing is left: nobody else fetches into ours, and they
// begin anew each time.
func (r *Repository) transfer(ctx context.Context, at location, c Credentials, whose party, g git, args ...string) error {
	if err := sweep(g.dir); err != nil {
		return err
	}
	if _, err := r.askAt(ctx, at, c, whose, g, append([]string{"fetch", "--quiet", "--force"}, args...)...); err != nil {
		return errors.Join(err, sweep(g.dir))
	}
	return nil
}

// sweep removes the packs that a git had begun to write and had no time to remove: what
// was fetched of them cannot be used, and git never looks at it again.
func sweep(dir string) error {
	packs := filepath.Join(dir, ".git", "objects", "pack")
	entries, err := os.ReadDir(packs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "tmp_") || strings.HasPrefix(e.Name(), ".tmp-") {
			errs = append(errs, os.Remove(filepath.Join(packs, e.Name())))
		}
	}
	return errors.Join(errs...)
}
