package closure

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kedge/internal/durable"
	"kedge/proto"
)

// DefaultRoots is where the roots are on a host.
const DefaultRoots = "/nix/var/nix/gcroots/kedge"

// The names of the roots.
const (
	rootStaged  = "staged"
	rootBack    = "back"
	rootCurrent = "current"
	rootProven  = "proven"
)

// rootsPerm lets everybody look, as everywhere in Nix's state.
const rootsPerm = 0o755

// Roots are the links that keep our systems from being garbage-collected,
// whatever the system profile names. A link may be made before the path is
// there: then it protects from the moment at which all of it is, and no sooner. All
// changes are durable.
type Roots struct {
	Dir string // DefaultRoots on a host; made when it is missing
	// Reserve runs write, which can be repeated, and again with room that was kept for
	// it if the disk is full; nil just runs it. It is for the way back: nothing new is
	// begun with it.
	Reserve func(write func() error) error
}

// Stage keeps p: what is fetched, or waits to be activated. It also lets go of what a
// crash left behind, and of what has arrived of another one.
func (r Roots) Stage(p proto.StorePath) error {
	r.sweep()
	if staged, err := os.Readlink(filepath.Join(r.Dir, rootStaged)); err != nil || staged != p.String() {
		if err := r.GiveUp(); err != nil {
			return err
		}
	}
	return r.put(rootStaged, p)
}

// Back keeps p: what somebody wants to go back to, whatever is staged.
func (r Roots) Back(p proto.StorePath) error { return r.link(rootBack, p) }

// Current keeps p: what is being activated, or was last, whatever is staged
// meanwhile.
func (r Roots) Current(p proto.StorePath) error { return r.link(rootCurrent, p) }

// Prove keeps p: the proven system, to which the way back leads.
func (r Roots) Prove(p proto.StorePath) error { return r.link(rootProven, p) }

func (r Roots) link(name string, p proto.StorePath) error {
	put := func() error { return r.put(name, p) }
	if r.Reserve == nil {
		return put()
	}
	return r.Reserve(put)
}

func (r Roots) put(name string, p proto.StorePath) error {
	if err := durable.MkdirAll(r.Dir, rootsPerm); err != nil {
		return err
	}
	return durable.Symlink(p.String(), filepath.Join(r.Dir, name))
}

// sweepAfter is more than it takes to put a link in place.
const sweepAfter = time.Minute

// sweep removes links that a crash kept from being put in place: each is a root of a
// system that nobody knows of. What cannot be removed stays for the next time.
func (r Roots) sweep() {
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if _, left := durable.Leftover(e.Name()); !left || e.Type() != fs.ModeSymlink {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > sweepAfter {
			_ = os.Remove(filepath.Join(r.Dir, e.Name()))
		}
	}
}
