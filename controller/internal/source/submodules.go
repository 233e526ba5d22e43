package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kedge/internal/durable"
	"kedge/internal/nix"
	"kedge/proto"
)

// ErrSubmodule says that a submodule cannot be had, or may not be. To be tried again
// later: its repository may come back.
var ErrSubmodule = errors.New("a submodule cannot be had")

// maxSubmodules is how many submodules a revision may have, those of its submodules
// included.
const maxSubmodules = 100

// A submodule is a place in a tree where the tree of another repository belongs.
type submodule struct {
	path   string // in the revision
	commit proto.Revision
	url    string // as .gitmodules has it; empty if it has none
}

// assemble puts the submodules of a revision, which were met in it, where they belong.
// Those that are there already are not asked for. It returns what reads them, which has
// to be closed, also if it fails.
func (r *Repository) assemble(ctx context.Context, revision proto.Revision, root *nix.File, f *files) (*objects, error) {
	met, count := len(f.submodules), f.count
	o, err := r.assembled(ctx, revision, root, f)
	// What is borrowed may lack what came before it, and is not looked at by itself.
	if _, ok := errors.AsType[*gitError](err); ok && ctx.Err() == nil && r.damaged(ctx, r.modules, "--connectivity-only") {
		r.log.WarnContext(ctx, "copy of the submodules is damaged, made anew", "dir", r.modules.dir, "err", err)
		o.close()
		if err := os.RemoveAll(r.modules.dir); err != nil {
			return nil, err
		}
		f.submodules, f.places, f.count = f.submodules[:met], f.places[:met], count
		o, err = r.assembled(ctx, revision, root, f)
	}
	return o, err
}

func (r *Repository) assembled(ctx context.Context, revision proto.Revision, root *nix.File, f *files) (*objects, error) {
	if err := r.prepareModules(ctx); err != nil {
		return nil, err
	}
	o, err := r.open(ctx, r.modules)
	if err != nil {
		return nil, err
	}
	used, in := map[string]bool{}, make([]location, len(f.submodules)) // the repositories that they are submodules of
	for i := range in {
		in[i] = r.location
	}
	if err := r.name(ctx, r.mirror, revision, root, f.submodules, ""); err != nil {
		return o, err
	}
	for n := 0; n < len(f.submodules); n++ { // and those that are met meanwhile
		m := f.submodules[n]
		if n == maxSubmodules {
			return o, fmt.Errorf("%w: there are more than %d", ErrSubmodule, maxSubmodules)
		}
		at, err := r.submoduleURL(in[n], m.url)
		if err != nil {
			return o, fmt.Errorf("%w: %s: .gitmodules: %w", ErrSubmodule, m.path, err)
		}
		used[moduleRef(m.commit)] = true
		if err := r.fetchSubmodule(ctx, at, m.commit); err != nil {
			return o, fmt.Errorf("%w: %s, revision %s of %s: %w", ErrSubmodule, m.path, m.commit.Short(), at.url, err)
		}
		c, err := o.commit(m.commit.String())
		if err != nil {
			return o, err
		}
		tree, err := f.tree(o, c.tree, m.path+"/")
		if err != nil {
			return o, err
		}
		*f.places[n] = *tree
		if err := r.name(ctx, r.modules, m.commit, tree, f.submodules[len(in):], m.path+"/"); err != nil {
			return o, err
		}
		for len(in) < len(f.submodules) {
			in = append(in, at)
		}
	}
	r.used = used
	return o, nil
}

// dropModules lets go of the submodules that the last revision does not have.
func (r *Repository) dropModules(ctx context.Context) error {
	if r.used == nil {
		return nil
	}
	out, err := r.run(ctx, r.modules, "for-each-ref", "--format=%(refname)", modulesRefs)
	if err != nil {
		return err
	}
	for ref := range strings.FieldsSeq(out) {
		if !r.used[ref] {
			if _, err := r.run(ctx, r.modules, "update-ref", "-d", ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// name looks up the URLs of submodules of a commit, whose tree is at prefix. One that
// .gitmodules does not name has none.
func (r *Repository) name(ctx context.Context, g git, commit proto.Revision, tree *nix.File, submodules []submodule, prefix string) error {
	if len(submodules) == 0 || at(tree, ".gitmodules") == nil {
		return nil
	}
	// Git would also read files of this machine that .gitmodules includes. Asked for some
	// keys alone, it takes a damaged file that has one of them before the damage for whole.
	out, err := r.run(ctx, g, "config", "--no-includes", "--blob", commit.String()+":.gitmodules", "--null", "--list")
	if failed, ok := errors.AsType[*gitError](err); ok && failed.exitCode > 0 {
		return fmt.Errorf("%w: %s.gitmodules of revision %s cannot be read: %w", ErrSubmodule, prefix, commit.Short(), failed)
	}
	if err != nil {
		return err
	}
	urls := parseModules(out)
	for i, m := range submodules {
		submodules[i].url = urls[strings.TrimPrefix(m.path, prefix)]
	}
	return nil
}

// parseModules returns the URLs of submodules by their paths, of what git config says
// of .gitmodules.
func parseModules(out string) map[string]string {
	paths, urls := map[string]string{}, map[string]string{}
	for entry := range strings.SplitSeq(out, "\x00") {
		key, value, _ := strings.Cut(entry, "\n")
		key, ours := strings.CutPrefix(key, "submodule.")
		if !ours {
			continue
		}
		if name, found := strings.CutSuffix(key, ".path"); found {
			paths[name] = value
		} else if name, found := strings.CutSuffix(key, ".url"); found {
			urls[name] = value
		}
	}
	byPath := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(paths)) { // two may claim one place
		byPath[paths[name]] = urls[name]
	}
	return byPath
}

// prepareModules makes the repository of the submodules, which borrows what is in our
// copy. It is another one, so that they do not count as the history of the branch.
func (r *Repository) prepareModules(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(r.modules.dir, ".git", "HEAD")); errors.Is(err, os.ErrNotExist) {
		if _, err := r.run(ctx, r.remote, "init", "--quiet", "--template=", "--", r.modules.dir); err != nil {
			return err
		}
	}
	info := filepath.Join(r.modules.dir, ".git", "objects", "info")
	if err := durable.MkdirAll(info, dirPerm); err != nil {
		return err
	}
	objects := filepath.Join(r.mirror.dir, ".git", "objects") + "\n"
	if had, err := os.ReadFile(filepath.Join(info, "alternates")); err != nil || string(had) != objects {
		if err := durable.WriteFile(filepath.Join(info, "alternates"), []byte(objects), 0o600); err != nil {
			return err
		}
	}
	return unlock(r.modules.dir)
}

// modulesRefs has a reference to each submodule that is there whole.
const modulesRefs = "refs/kedge/submodules/"

func moduleRef(commit proto.Revision) string { return modulesRefs + commit.String() }

// fetchSubmodule brings a commit, unless it is there.
func (r *Repository) fetchSubmodule(ctx context.Context, at location, commit proto.Revision) error {
	ref := moduleRef(commit)
	if _, err := r.run(ctx, r.modules, "rev-parse", "--quiet", "--verify", ref+"^{commit}"); err == nil {
		return nil
	}
	r.untidy = true
	g := r.modules
	g.patient = true // it may be the first of its repository
	allowed := "ssh:https"
	if at.local {
		allowed = "file"
	}
	g.env = slices.Concat(g.env, []string{"GIT_ALLOW_PROTOCOL=" + allowed})
	whose := elsewhere
	if at.server() == r.location.server() {
		whose = ourModule
	}
	return r.transfer(ctx, at, r.creds.at(r.location, at), whose, g, "--depth=1",
		"--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules",
		"--", at.url, commit.String()+":"+ref)
}
