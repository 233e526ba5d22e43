package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// needsHistory reports whether commits before the newest are to be looked at.
func (p Policy) needsHistory() bool { return p.Signers.wanted() || p.RefuseForcePush }

// Admit reports why a fetched revision may not be deployed after base, which may be
// none: an error that wraps [ErrUnsigned] or [ErrForcePushed]. Every commit that
// came after base must be signed, and the newest one in any case; base itself may
// be deployed again, whatever the policy is by now. If the repository has lost base
// then every commit that it has must be signed, as nobody knows which came after it.
func (r *Repository) Admit(ctx context.Context, base, revision proto.Revision) error {
	if !r.policy.needsHistory() || base == revision {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known, err := r.recover(ctx, base)
	if err != nil {
		return err
	}
	if r.policy.RefuseForcePush && !base.IsZero() {
		forward := known && r.isAncestor(ctx, base, revision)
		if back := known && r.isAncestor(ctx, revision, base); !forward && !back && ctx.Err() == nil {
			return fmt.Errorf("%w: revision %s does not follow from %s, which is deployed; "+
				"merge that into the branch, or set force_push to accept", ErrForcePushed, revision.Short(), base.Short())
		}
	}
	if !r.policy.Signers.wanted() {
		return ctx.Err()
	}
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
	err = r.signed(ctx, commits)
	if errors.Is(err, ErrUnsigned) && !known && !base.IsZero() {
		err = fmt.Errorf("%w; every commit of the branch must be signed, as the repository has not %s any more, which was deployed last: "+
			"push that to any branch again, or deploy once without signatures", err, base.Short())
	}
	return err
}

// deployedRef keeps git from collecting what is deployed, whatever is pushed over it.
const deployedRef = "refs/kedge/deployed"

// recover reports whether our copy has base, which may be none, and its history; if
// it has not, then after asking the repository for it.
func (r *Repository) recover(ctx context.Context, base proto.Revision) (known bool, err error) {
	if base.IsZero() {
		return false, nil
	}
	if _, err := r.run(ctx, r.mirror, "cat-file", "-e", base.String()+"^{commit}"); err == nil {
		_, err := r.run(ctx, r.mirror, "update-ref", "--", deployedRef, base.String())
		return true, err
	}
	if err := r.fetchInto(ctx, base, deployedRef); errors.Is(err, ErrRevisionGone) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("fetch revision %s, which is deployed: %w", base.Short(), err)
	}
	return true, nil
}

func (r *Repository) isAncestor(ctx context.Context, a, b proto.Revision) bool {
	_, err := r.run(ctx, r.mirror, "merge-base", "--is-ancestor", a.String(), b.String())
	return err == nil
}

// depth returns how much of the history is fetched.
func (r *Repository) depth() []string {
	if !r.policy.needsHistory() {
		return []string{"--depth=1"}
	}
	if _, err := os.Stat(filepath.Join(r.mirror.dir, ".git", "shallow")); err == nil {
		return []string{"--unshallow"} // there was no policy before
	}
	return nil
}
