package closure

import (
	"path/filepath"

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
// there: then it protects from the first moment. All changes are durable.
type Roots struct {
	Dir string // DefaultRoots on a host; made when it is missing
}

// Stage keeps p: what is fetched, or waits to be activated.
func (r Roots) Stage(p proto.StorePath) error { return r.link(rootStaged, p) }

// Back keeps p: what somebody wants to go back to, whatever is staged.
func (r Roots) Back(p proto.StorePath) error { return r.link(rootBack, p) }

// Current keeps p: what is being activated, or was last, whatever is staged
// meanwhile.
func (r Roots) Current(p proto.StorePath) error { return r.link(rootCurrent, p) }

// Prove keeps p: the proven system, to which the way back leads.
func (r Roots) Prove(p proto.StorePath) error { return r.link(rootProven, p) }

func (r Roots) link(name string, p proto.StorePath) error {
	if err := durable.MkdirAll(r.Dir, rootsPerm); err != nil {
		return err
	}
	return durable.Symlink(p.String(), filepath.Join(r.Dir, name))
}
