package tidy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/profile"
	"kedge/agent/internal/statefile"
	"kedge/internal/nix"
	"kedge/proto"
)

// deleteTimeout bounds one change of the profile, which waits for Nix's own
// locks.
const deleteTimeout = 2 * time.Minute

// A Loader runs a system's installer of the boot loader; activation.Runner is
// one.
type Loader interface {
	// SetDefault makes toplevel, which is registered, the boot default, and the
	// generations that there are the boot entries.
	SetDefault(ctx context.Context, toplevel proto.StorePath) error
}

// A Pruner deletes generations of the system profile, and their boot entries.
type Pruner struct {
	Keep    int            // as of [Superfluous]
	Profile profile.System // required
	Loader  Loader         // required
	Files   statefile.Dir  // required
}

// Prune deletes what became superfluous when d committed, as long as d is the
// last deployment and the profile names what it committed. It keeps every
// transaction out meanwhile. That generations are deleted is on the disk before
// the first is; until their boot entries are gone, too, each call goes on.
//
// An error that wraps [statefile.ErrLocked] or activation.ErrBusy says that
// somebody else is at work.
func (p Pruner) Prune(ctx context.Context, d deployment.Deployment) (deleted []proto.Generation, err error) {
	lock, err := p.Files.LockTransaction()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if last, err := p.Files.Deployment(); err != nil || last.ID != d.ID || last.Phase != proto.PhaseCommitted {
		return nil, err
	}
	s, err := p.Profile.Systems()
	if err != nil || s.Profile != d.Toplevel {
		return nil, err
	}
	superfluous, err := p.superfluous(s, d)
	if err != nil {
		return nil, err
	}
	if len(superfluous) > 0 {
		if deleted, err = p.delete(ctx, superfluous); err != nil {
			return nil, fmt.Errorf("delete generations: %w", err)
		}
	}
	return deleted, p.removeEntries(ctx, d.Toplevel)
}

func (p Pruner) superfluous(s proto.Systems, d deployment.Deployment) ([]nix.Generation, error) {
	all, err := p.Profile.Generations()
	if err != nil {
		return nil, err
	}
	inUse, err := p.Profile.InUse(all)
	if err != nil {
		return nil, err
	}
	proven, err := p.Files.Proven()
	if err != nil {
		return nil, err
	}
	return Superfluous(all, p.Keep, Protected{
		Committed: s.Generation,
		Systems:   append(inUse, s.Profile, proven.Toplevel, proven.Previous.Toplevel, d.Toplevel, d.Proven.Toplevel),
	}), nil
}

func (p Pruner) delete(ctx context.Context, old []nix.Generation) (deleted []proto.Generation, err error) {
	for _, g := range old {
		deleted = append(deleted, g.Number)
	}
	if err := p.Files.BeginPruning(deleted); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	return deleted, p.Profile.DeleteGenerations(ctx, deleted...)
}

// removeEntries has the boot loader forget what was deleted, if anything was. If
// somebody registered another system meanwhile, his own switch does that.
func (p Pruner) removeEntries(ctx context.Context, toplevel proto.StorePath) error {
	if begun, err := p.Files.Pruning(); err != nil || !begun {
		return err
	}
	if s, err := p.Profile.Systems(); err != nil || s.Profile != toplevel {
		return err
	}
	if err := p.Loader.SetDefault(ctx, toplevel); err != nil {
		return fmt.Errorf("remove the boot entries of deleted generations: %w", err)
	}
	return p.Files.EndPruning()
}
