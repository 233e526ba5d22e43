package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kedge/internal/durable"
	"kedge/proto"
)

// fetchedRef keeps git from collecting what was fetched last, and tells it what
// need not be fetched again.
const fetchedRef = "refs/kedge/fetched"

// Fetch brings revision into our copy, with little history unless there is a policy. Errors wrap
// [ErrUnreachable] or [ErrRevisionGone], unless ctx ended or our disk failed.
// A copy that is damaged is made anew. What took too long has more time at the next call: how
// much a push brings, or a repository in the place of another one, nobody knows before.
func (r *Repository) Fetch(ctx context.Context, revision proto.Revision) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.overran = errors.Is(err, errNoEnd) }()
	if r.fetched == revision {
		return nil
	}
	err = r.fetch(ctx, revision)
	if err != nil && ctx.Err() == nil && r.damaged(ctx, r.mirror) {
		r.log.WarnContext(ctx, "copy of the repository is damaged, made anew", "dir", r.mirror.dir, "err", err)
		r.forget()
		if err := os.RemoveAll(r.mirror.dir); err != nil {
			return fmt.Errorf("fetch revision %s: %w", revision, err)
		}
		err = r.fetch(ctx, revision)
	}
	if err != nil {
		return fmt.Errorf("fetch revision %s from %s: %w", revision, r.location.url, err)
	}
	r.fetched = revision
	return nil
}

func (r *Repository) fetch(ctx context.Context, revision proto.Revision) error {
	if _, err := os.Stat(filepath.Join(r.mirror.dir, ".git", "HEAD")); errors.Is(err, fs.ErrNotExist) {
		if _, err := r.run(ctx, r.remote, "init", "--quiet", "--template=", "--", r.mirror.dir); err != nil {
			return err
		}
	}
	if err := errors.Join(r.borrow(), unlock(r.mirror.dir)); err != nil {
		return err
	}
	if r.location.local && r.present(ctx, revision) {
		return nil
	}
	return r.fetchInto(ctx, revision, fetchedRef, r.depth(ctx)...)
}

// fetchInto fetches a revision, so deep, and has ref name it. Errors are as those of
// Fetch.
func (r *Repository) fetchInto(ctx context.Context, revision proto.Revision, ref string, depth ...string) error {
	r.untidy = true
	g := r.mirror
	g.patient = r.policy.needsHistory() || r.overran || r.isFirst(ctx)
	err := r.transfer(ctx, r.location, r.creds, theSource, g, append(depth,
		"--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules",
		"--", r.location.url, revision.String()+":"+ref)...)
	if failed, ok := errors.AsType[*gitError](err); ok && failed.isAbsence() {
		return fmt.Errorf("%w: %w", ErrRevisionGone, failed)
	}
	if err != nil || !r.policy.needsHistory() {
		return err
	}
	return r.requireWhole(ctx, revision, ref)
}

// isFirst reports whether nothing of the branch is in our copy yet. Where git does not
// say, something is.
func (r *Repository) isFirst(ctx context.Context) bool {
	holds, err := r.says(ctx, r.mirror, "rev-parse", "--quiet", "--verify", fetchedRef)
	return err == nil && !holds
}

// requireWhole reports that the repository lacks a part of the history itself: git then
// leaves out what it was to fetch, or a part of it, and takes that for no error.
func (r *Repository) requireWhole(ctx context.Context, revision proto.Revision, ref string) error {
	got, err := r.output(ctx, r.mirror, "for-each-ref", "--format=%(objectname)", ref)
	if err != nil || got == revision.String() && !r.isShallow() {
		return err
	}
	return fmt.Errorf("%w: it is a shallow clone itself, and lacks the history that signatures.required and force_push: refuse look at; "+
		"bring the rest of it there (git fetch --unshallow), or set url to a whole one", ErrUnreachable)
}

// borrow lets our copy use the objects of a repository on this machine where
// they are, which is faster by far than fetching them: git's alternates. A
// repository of an unusual shape is left alone, and fetched from; and so is one whose
// commits must be signed, since git takes what it borrows for what its name says, and
// looks at what it fetches.
func (r *Repository) borrow() error {
	alternates := filepath.Join(r.mirror.dir, ".git", "objects", "info", "alternates")
	objects := r.location.objects()
	if objects == "" || r.policy.Signers.wanted() {
		return durable.Remove(alternates)
	}
	line := []byte(objects + "\n")
	if had, err := os.ReadFile(alternates); err == nil && bytes.Equal(had, line) {
		return nil
	}
	if err := durable.MkdirAll(filepath.Dir(alternates), dirPerm); err != nil {
		return err
	}
	return durable.WriteFile(alternates, line, 0o600)
}

// present reports whether our copy has revision already. Whom it asks reads on at the
// checkout, so that mostly this is the only git.
func (r *Repository) present(ctx context.Context, revision proto.Revision) bool {
	o, err := r.opened(ctx)
	if err != nil {
		return false
	}
	c, err := o.commit(revision.String())
	if err != nil {
		r.forget()
		return false
	}
	r.line = append([]string{revision.String()}, c.parents...)
	return true
}

// damaged reports whether a repository of ours is there and not whole, as far as git fsck
// with flags looks.
func (r *Repository) damaged(ctx context.Context, g git, flags ...string) bool {
	if _, err := os.Stat(g.dir); err != nil {
		return false
	}
	_, err := r.run(ctx, g, append([]string{"fsck", "--no-dangling", "--no-progress"}, flags...)...)
	failed, ok := errors.AsType[*gitError](err)
	return ok && failed.exitCode > 0 // it came to its end: a large copy takes longer than it may
}

// doubt returns err, and has our copy looked after when what git failed at is tried
// again: its locks, or all of it if it is damaged.
func (r *Repository) doubt(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*gitError](err); !ok || errors.Is(err, ErrUnreachable) || ctx.Err() != nil {
		return err
	}
	r.fetched = proto.Revision{}
	if !r.damaged(ctx, r.mirror) {
		return err
	}
	r.forget()
	r.log.WarnContext(ctx, "copy of the repository is damaged, to be made anew", "dir", r.mirror.dir, "err", err)
	return errors.Join(err, os.RemoveAll(r.mirror.dir))
}

// unlock removes the locks of a git that had no time to do so: nobody else uses a
// repository of ours.
func unlock(dir string) error {
	return filepath.WalkDir(filepath.Join(dir, ".git"), func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "objects":
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(file, ".lock"):
			return os.Remove(file)
		}
		return nil
	})
}

// Tidy packs our copy and removes what has not been needed for two weeks, if
// there is enough to do: every fetch leaves a pack behind. It is for when there is
// time, and starts nothing unless something was fetched since the last time.
func (r *Repository) Tidy(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.untidy {
		return nil
	}
	if err := r.dropModules(ctx); err != nil {
		return err
	}
	for _, g := range []git{r.mirror, r.modules} {
		if _, err := os.Stat(g.dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if _, err := r.run(ctx, g, "gc", "--auto", "--quiet"); err != nil {
			return fmt.Errorf("tidy %s: %w", g.dir, err)
		}
	}
	r.untidy = false
	return nil
}
