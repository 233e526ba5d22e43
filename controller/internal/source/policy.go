package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kedge/proto"
)

// Errors of a [Policy]: what runs is left alone.
var (
	// ErrUnsigned: a commit is not signed by anybody who may sign.
	ErrUnsigned = errors.New("a commit is not signed by an allowed signer")
	// ErrForcePushed: the branch was pushed over.
	ErrForcePushed = errors.New("the branch was pushed over")
)

// A Policy says which revisions may be deployed. The zero value has nothing against
// any.
type Policy struct {
	Signers Signers
	// RefuseForcePush refuses what does not follow from the revision before, unless
	// that followed from it: going back is no force-push.
	RefuseForcePush bool
}

// needsHistory reports whether commits before the newest are to be looked at,
// however many there are.
func (p Policy) needsHistory() bool { return p.Signers.wanted() || p.RefuseForcePush }

// Admit reports why a fetched revision may not be deployed after base, which may be
// none: an error that wraps [ErrUnsigned] or [ErrForcePushed]. Every commit that
// came after base must be signed, and the newest one in any case; base itself may
// be deployed again, whatever the policy is by now. If the repository has lost base
// then every commit that it has must be signed, as nobody knows which came after it.
//
// pushedOver says that revision neither follows from base nor goes back from it, as
// far as our copy tells.
func (r *Repository) Admit(ctx context.Context, base, revision proto.Revision) (pushedOver bool, err error) {
	if base == revision {
		return false, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	pushedOver, err = r.admit(ctx, base, revision)
	if err != nil {
		r.forget() // there is no checkout to come
	}
	return pushedOver, r.doubt(ctx, err)
}

func (r *Repository) admit(ctx context.Context, base, revision proto.Revision) (pushedOver bool, err error) {
	var known bool
	if !base.IsZero() {
		if r.policy.needsHistory() {
			if known, err = r.recover(ctx, base); err != nil {
				return false, err
			}
		}
		if pushedOver, err = r.isOver(ctx, base, revision); err != nil {
			return false, err
		}
	}
	if pushedOver && r.policy.RefuseForcePush {
		return true, fmt.Errorf("%w: revision %s does not follow from %s, which is deployed; "+
			"merge that into the branch, or set force_push to accept", ErrForcePushed, revision.Short(), base.Short())
	}
	if !r.policy.Signers.wanted() {
		return pushedOver, ctx.Err()
	}
	return pushedOver, r.signedSince(ctx, base, revision, known)
}

// signedSince reports the first commit up to revision that no signer signed: of those
// that came after base, if our copy has that.
func (r *Repository) signedSince(ctx context.Context, base, revision proto.Revision, known bool) error {
	commits := []string{revision.String()}
	if !base.IsZero() {
		since := []string{revision.String()}
		if known {
			since = append(since, "^"+base.String())
		}
		out, err := r.run(ctx, r.mirror, append([]string{"rev-list", "--reverse"}, since...)...)
		if err != nil {
			return fmt.Errorf("list the commits since %s: %w", base.Short(), err)
		}
		commits = append(strings.Fields(out), commits...)
	}
	err := r.signed(ctx, commits)
	if errors.Is(err, ErrUnsigned) && !known && !base.IsZero() {
		err = fmt.Errorf("%w; every commit of the branch must be signed, as the repository has not %s any more, which was deployed last: "+
			"push that to any branch again, or deploy once without signatures", err, base.Short())
	}
	return err
}

// isOver reports whether a branch went from base to revision neither forwards nor
// backwards. Without a policy it is only told of: then no revision is refused because
// nobody knows, nor waits for the rest of a history longer than for anything else.
func (r *Repository) isOver(ctx context.Context, base, revision proto.Revision) (bool, error) {
	over, err := r.leaves(ctx, base, revision)
	if err == nil || r.policy.needsHistory() || ctx.Err() != nil {
		return over, err
	}
	r.log.WarnContext(ctx, "nobody knows whether the branch was pushed over", "revision", revision, "deployed", base, "err", err)
	return false, nil
}

// leaves is isOver, whatever the policy. It fetches the rest of the history if our copy
// does not tell.
func (r *Repository) leaves(ctx context.Context, base, revision proto.Revision) (bool, error) {
	if i := slices.Index(r.line, base.String()); i > 0 && r.line[0] == revision.String() {
		return false, nil // as after most pushes
	}
	if follows, err := r.inLine(ctx, base, revision); err != nil || follows {
		return false, err
	}
	if !r.isShallow() {
		return true, nil
	}
	if err := r.fetchInto(ctx, revision, fetchedRef, "--unshallow"); err != nil {
		return false, err
	}
	follows, err := r.inLine(ctx, base, revision)
	return err == nil && !follows, err
}

// inLine reports whether one of a and b follows from the other, as far as our copy tells.
func (r *Repository) inLine(ctx context.Context, a, b proto.Revision) (bool, error) {
	follows, err := r.isAncestor(ctx, a, b)
	if err != nil || follows {
		return follows, err
	}
	return r.isAncestor(ctx, b, a)
}

// deployedRef keeps git from collecting what is deployed, whatever is pushed over it.
const deployedRef = "refs/kedge/deployed"

// recover reports whether our copy has base; if it has not, then after asking the
// repository for it.
func (r *Repository) recover(ctx context.Context, base proto.Revision) (known bool, err error) {
	if _, err := r.run(ctx, r.mirror, "cat-file", "-e", base.String()+"^{commit}"); err == nil {
		_, err := r.run(ctx, r.mirror, "update-ref", "--", deployedRef, base.String())
		return true, err
	}
	if err := r.fetchInto(ctx, base, deployedRef, r.depth(ctx)...); errors.Is(err, ErrRevisionGone) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("fetch revision %s, which is deployed: %w", base.Short(), err)
	}
	return true, nil
}

// isAncestor reports whether b follows from a, as far as our copy tells: not where it
// lacks one of them.
func (r *Repository) isAncestor(ctx context.Context, a, b proto.Revision) (bool, error) {
	follows, err := r.says(ctx, r.mirror, "merge-base", "--is-ancestor", a.String(), b.String())
	if err == nil || ctx.Err() != nil {
		return follows, err
	}
	for _, c := range []proto.Revision{a, b} {
		if has, err := r.says(ctx, r.mirror, "cat-file", "-e", c.String()); err == nil && !has {
			return false, nil
		}
	}
	return false, err
}

// says runs a git command that answers by how it ends: 0 is yes, 1 is no, and all else
// is an error.
func (r *Repository) says(ctx context.Context, g git, args ...string) (bool, error) {
	_, err := r.run(ctx, g, args...)
	if failed, ok := errors.AsType[*gitError](err); ok && failed.exitCode == 1 && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// nearHistory is how many commits are fetched where there is no policy: enough to
// tell a push from a force-push, as a rule.
const nearHistory = 50

// depth returns how much of the history is fetched.
func (r *Repository) depth(ctx context.Context) []string {
	switch {
	case r.policy.needsHistory() && r.isShallow():
		return []string{"--unshallow"} // there was no policy before
	case r.policy.needsHistory():
		return nil
	case !r.isShallow():
		if _, err := r.run(ctx, r.mirror, "rev-parse", "--quiet", "--verify", fetchedRef); err == nil {
			return nil // all of it is there
		}
	}
	return []string{fmt.Sprintf("--depth=%d", nearHistory)}
}

// isShallow reports whether our copy lacks a part of the history.
func (r *Repository) isShallow() bool {
	_, err := os.Stat(filepath.Join(r.mirror.dir, ".git", "shallow"))
	return err == nil
}
