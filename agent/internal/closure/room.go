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

// Where a deployment writes to, other than to the store.
const (
	stateDir = "/nix/var/nix" // Nix's database, profiles and roots
	bootDir  = "/boot"
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
	// Reserve is how many bytes have to be free in the store afterwards.
	Reserve uint64
	Log     *slog.Logger // required
	// Root is the directory that everything is looked for in; empty is /.
	Root string
	// Volume returns the file system of a path below Root; defaults to
	// [VolumeOf].
	Volume func(path string) (Volume, error)
}

// Check returns nil if o's closure will fit. That is known only if a cache has
// the closure list that was signed; if none has, the disk decides. An error that
// is not ctx's is a [*Rejection].
func (r Room) Check(ctx context.Context, o FetchOrder) error {
	if err := r.writable(); err != nil {
		return err
	}
	c, err := r.list(ctx, o)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		// Guarded all the same: by the second half, and by Nix itself.
		r.Log.DebugContext(ctx, "no cache has the closure list; whether there is room is not known", "toplevel", o.Toplevel, "err", err)
		return nil
	}
	return r.fits(r.missing(c))
}

// writable checks what is written to besides the store. The store itself cannot
// be asked: on NixOS it is mounted read-only for everybody, and Nix makes it
// writable in a namespace of its own.
func (r Room) writable() error {
	for _, dir := range []string{stateDir, bootDir} {
		v, err := r.volume(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a container has no /boot; Nix makes what it lacks
		}
		if err != nil {
			return rejectIO(err)
		}
		if v.ReadOnly {
			return &Rejection{Reason: proto.ReasonReadOnly, Err: fmt.Errorf(
				"the file system of %s is read-only: look for errors of the disk in the kernel's log, or mount it writable", dir)}
		}
	}
	return nil
}

// list returns the closure list that was signed, from the first cache that has
// it.
func (r Room) list(ctx context.Context, o FetchOrder) (proto.Closure, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
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

// missing returns what of c is not there. It looks for the paths themselves and
// does not ask Nix, which knows better but would need several commands for a
// large closure: Nix moves a path to its place only when it is whole, and
// registers it then. One that it had no time to register it replaces; that needs
// no more room in the end.
func (r Room) missing(c proto.Closure) (missing proto.Closure) {
	for _, p := range c {
		if _, err := os.Lstat(filepath.Join(r.Root, p.Path.String())); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, p)
		}
	}
	return missing
}

// fits checks that the store has room for what is missing: a tenth more than it
// is as an archive, as files end in the middle of a block.
func (r Room) fits(missing proto.Closure) error {
	v, err := r.volume(storeDir)
	if err != nil {
		return rejectIO(err)
	}
	need := missing.Size() + missing.Size()/10 + r.Reserve
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

func (r Room) volume(path string) (Volume, error) { return volume(r.Volume, r.Root, path) }

// volume asks ask, or the system, for the file system of path below root.
func volume(ask func(path string) (Volume, error), root, path string) (Volume, error) {
	if ask == nil {
		ask = VolumeOf
	}
	return ask(filepath.Join("/", root, path))
}
