package closure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"kedge/proto"
)

const (
	// spareInodes and inodesPerPath are what a closure may need at least. Its
	// list does not say how many files a path has; most have a few.
	spareInodes   = 1000
	inodesPerPath = 10
)

// A Room is the first half of the preflight: whether the host has room for what
// it is about to download. It changes nothing.
type Room struct {
	Lists Lister // required
	Pace  *Pace  // which Lists keeps; nil for as fast as it comes
	// Reserve is how many bytes have to be free in the store afterwards.
	Reserve uint64
	// MakeRoom has garbage collected until at least so many bytes are free in the
	// store, or there is none left; nil leaves it there.
	MakeRoom func(ctx context.Context, bytes uint64) error
	Log      *slog.Logger // required
	// Root is the directory that everything is looked for in; empty is /.
	Root string
	// Volume returns the file system of a path below Root; defaults to
	// [VolumeOf].
	Volume func(path string) (Volume, error)
}

// Check returns what of o's closure is missing, and no error if that will fit. It is
// known only if a cache has the closure list that was signed; if none has, the disk
// decides. An error that is not ctx's is a [*Rejection].
func (r Room) Check(ctx context.Context, o FetchOrder) (proto.Closure, error) {
	boot, err := r.host().boot()
	if err != nil {
		return nil, err
	}
	if err := r.host().writable(boot); err != nil {
		return nil, err
	}
	c, err := r.list(ctx, o)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		// Guarded all the same: by the second half, and by Nix itself.
		r.Log.DebugContext(ctx, "no cache has the closure list; whether there is room is not known", "toplevel", o.Toplevel, "err", err)
		return nil, nil
	}
	missing := missingOf(c, r.Root)
	err = r.fits(missing)
	if err == nil || r.MakeRoom == nil {
		return missing, err
	}
	if err := r.MakeRoom(ctx, r.need(missing)); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		r.Log.WarnContext(ctx, "no room could be made", "toplevel", o.Toplevel, "err", err)
	}
	missing = missingOf(c, r.Root) // which may be more now
	return missing, r.fits(missing)
}

// list returns the closure list that was signed, from the first cache that has
// it.
func (r Room) list(ctx context.Context, o FetchOrder) (proto.Closure, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout+r.Pace.takes(listLimit))
	defer cancel()
	var causes []error
	for _, cache := range o.Caches {
		text, err := r.Lists.List(ctx, cache, o.Toplevel)
		if err == nil && proto.DigestOf(text) != o.Closure {
			err = errors.New("its closure list is not the one that was signed")
		}
		if err == nil {
			return proto.ParseClosure(text)
		}
		causes = append(causes, fmt.Errorf("%s: %w", cache, err))
	}
	return nil, errors.Join(causes...)
}

// missingOf returns what of c is not there below root. It looks for the paths themselves and
// does not ask Nix, which knows better but would need several commands for a
// large closure: Nix moves a path to its place only when it is whole, and
// registers it then. One that it had no time to register it replaces; that needs
// no more room in the end.
func missingOf(c proto.Closure, root string) (missing proto.Closure) {
	for _, p := range c {
		if _, err := os.Lstat(filepath.Join(root, p.Path.String())); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, p)
		}
	}
	return missing
}

// need is how many bytes must be free: a tenth more than what is missing is as an
// archive, as files end in the middle of a block, and the reserve.
func (r Room) need(missing proto.Closure) uint64 {
	return missing.Size() + missing.Size()/10 + r.Reserve
}

// fits checks that the store has room for what is missing.
func (r Room) fits(missing proto.Closure) error {
	v, err := r.host().volume(storeDir)
	if err != nil {
		return rejectIO(err)
	}
	need := r.need(missing)
	if len(missing) > 0 && v.Free < need {
		return full("it needs %s in %s, %s free; %s (%d paths) missing in the store, and %s have to stay free",
			size(need), storeDir, size(v.Free), size(missing.Size()), len(missing), size(r.Reserve))
	}
	inodes := uint64(len(missing)*inodesPerPath + spareInodes)
	if len(missing) > 0 && v.Files > 0 && v.Inodes < inodes {
		return full("it needs %d inodes in %s, %d free; %d paths missing in the store", inodes, storeDir, v.Inodes, len(missing))
	}
	return nil
}

func full(format string, args ...any) *Rejection {
	return &Rejection{Reason: proto.ReasonDiskFull, Err: fmt.Errorf(format, args...)}
}

func (r Room) host() hostVolumes { return hostVolumes{root: r.Root, ask: r.Volume} }
