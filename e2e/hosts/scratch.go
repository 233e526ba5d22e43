package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"

	"kedge/e2e/rootfs"
)

// A Scratch is a directory for what machines are made of. [Sweep] finds it by its name, as it finds a fleet, once the process
// that made it has ended.
type Scratch struct {
	Dir string

	claim *claim
}

// NewScratch makes an empty directory. Its name is a fleet's, and no fleet has it. It fails with [ErrInUse] if a living process
// has that name, and with rootfs.ErrNotRoot if this one is not root. Whoever made it calls [Scratch.Remove].
func NewScratch(ctx context.Context, name string) (*Scratch, error) {
	if os.Geteuid() != 0 {
		return nil, rootfs.ErrNotRoot
	}
	if err := checkLabel("scratch", name); err != nil {
		return nil, err
	}
	claim, err := claimFleet(name)
	if err != nil {
		return nil, err
	}
	s := &Scratch{Dir: fleetDir(name), claim: claim}
	if err := removeRemains(ctx, name); err != nil {
		return nil, errors.Join(err, claim.release())
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("make scratch %s: %w", name, err), claim.release())
	}
	return s, nil
}

// Remove removes the directory with everything in it. It may be called again.
func (s *Scratch) Remove() error { return errors.Join(os.RemoveAll(s.Dir), s.claim.release()) }
