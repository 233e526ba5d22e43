package closure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/internal/narinfo"
	"kedge/internal/nix"
	"kedge/proto"
)

// What is brought directly: the few paths of a changed service, which arrive in
// a moment. Nix brings more, many at once, and goes on where the network stopped.
const (
	directPaths   = 64
	directBytes   = 64 << 20 // of their archives
	directTimeout = 2 * time.Minute
	// atOnce is how many paths are asked for at once.
	atOnce = 8
)

// An Import adds paths to the host's store; *nix.Import is one.
type Import interface {
	Missing(paths []proto.StorePath) ([]proto.StorePath, error)
	Add(paths []narinfo.Info, open func(narinfo.Info) (io.ReadCloser, error)) error
	Closure(path proto.StorePath) (proto.Closure, error)
	Close() error
}

var _ Import = (*nix.Import)(nil)

// Direct is the transport for a small change: it downloads what is missing
// itself, and hands it to nix-daemon. No program is started, which is most of
// what [Substitution] costs. It verifies every signature, and so does the daemon.
//
// It decides nothing: whatever goes wrong, and whatever is large, it leaves to
// another transport, which finds what was added until then.
type Direct struct {
	// Begin connects to the store, which takes paths signed by one of keys.
	Begin func(ctx context.Context, keys []proto.PublicKey) (Import, error) // required
	// Client is closed when idle, as there is nothing to ask until the next deployment.
	Client *http.Client // required
	Rest   Transport    // required
	Log    *slog.Logger // required
}

var _ Transport = Direct{}

// Bring implements [Transport].
func (d Direct) Bring(ctx context.Context, cache string, o FetchOrder) (proto.Closure, error) {
	c, err := d.bring(ctx, cache, o)
	if err == nil {
		return c, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	d.Log.InfoContext(ctx, "fetch is left to Nix", "cache", cache, "toplevel", o.Toplevel, "why", err)
	return d.Rest.Bring(ctx, cache, o)
}

func (d Direct) bring(ctx context.Context, cache string, o FetchOrder) (c proto.Closure, err error) {
	if err := proto.ValidateCacheURL(cache); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, directTimeout)
	defer cancel()
	defer d.Client.CloseIdleConnections()
	b := batch{ctx: ctx, from: download{cache: cache, client: d.Client}, keys: o.TrustedKeys, paths: map[proto.StorePath]missingPath{}}
	store, ahead, err := d.beginAndLook(ctx, b, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := b.find(store, o.Toplevel, ahead); err != nil {
		return nil, err
	}
	if len(b.paths) > 0 {
		if err := store.Add(b.inOrder(o.Toplevel), b.open); err != nil {
			return nil, err
		}
	}
	return store.Closure(o.Toplevel)
}

// beginAndLook connects to the store, which takes as long as a process to start, while
// the cache is asked for all that is known to be missing.
func (d Direct) beginAndLook(ctx context.Context, b batch, o FetchOrder) (Import, []missingPath, error) {
	if o.Missing.Size() > directBytes {
		return nil, nil, errTooMuch
	}
	paths := make([]proto.StorePath, len(o.Missing))
	for i, p := range o.Missing {
		paths[i] = p.Path
	}
	var store Import
	var unbegun error
	var begun sync.WaitGroup
	begun.Go(func() { store, unbegun = d.Begin(ctx, o.TrustedKeys) })
	ahead, err := b.look(paths)
	begun.Wait()
	if unbegun == nil && err != nil {
		unbegun = store.Close()
	}
	return store, ahead, errors.Join(err, unbegun)
}

var errTooMuch = fmt.Errorf("more than %d MiB are missing", directBytes>>20)

// A batch is what is missing of a closure.
type batch struct {
	ctx   context.Context //nolint:containedctx // it is of one fetch
	from  download
	keys  []proto.PublicKey
	paths map[proto.StorePath]missingPath
	bytes uint64
}

// find finds what of toplevel's closure the store lacks. What is there has all
// that it refers to. What the cache says of some paths is known ahead.
func (b *batch) find(store Import, toplevel proto.StorePath, ahead []missingPath) error {
	met, next := map[proto.StorePath]bool{toplevel: true}, []proto.StorePath{toplevel}
	known := map[proto.StorePath]missingPath{}
	for _, p := range ahead {
		known[p.info.Path] = p
		if !met[p.info.Path] {
			met[p.info.Path], next = true, append(next, p.info.Path)
		}
	}
	for len(next) > 0 {
		missing, err := store.Missing(next)
		if err != nil {
			return err
		}
		unknown := slices.DeleteFunc(slices.Clone(missing), func(p proto.StorePath) bool { _, ok := known[p]; return ok })
		found, err := b.look(unknown)
		if err != nil {
			return err
		}
		for _, p := range missing {
			if k, ok := known[p]; ok {
				found = append(found, k)
			}
		}
		next = nil
		for _, p := range found {
			b.paths[p.info.Path] = p
			b.bytes += min(p.info.Size, directBytes+1)
			for _, r := range p.info.References {
				if !met[r] {
					met[r] = true
					next = append(next, r)
				}
			}
		}
		if b.bytes > directBytes {
			return errTooMuch
		}
	}
	return nil
}

// look asks the cache for paths, and returns what it says, verified.
func (b *batch) look(paths []proto.StorePath) ([]missingPath, error) {
	if len(b.paths)+len(paths) > directPaths {
		return nil, fmt.Errorf("more than %d paths are missing", directPaths)
	}
	found := make([]missingPath, len(paths))
	g, ctx := errgroup.WithContext(b.ctx)
	g.SetLimit(atOnce)
	for i, p := range paths {
		g.Go(func() (err error) {
			found[i], err = b.from.look(ctx, p, b.keys)
			return err
		})
	}
	return found, g.Wait()
}

// inOrder returns what is missing, each path after those that it refers to.
func (b *batch) inOrder(toplevel proto.StorePath) []narinfo.Info {
	var order []narinfo.Info
	met := map[proto.StorePath]bool{}
	var visit func(p proto.StorePath)
	visit = func(p proto.StorePath) {
		missing, ok := b.paths[p]
		if !ok || met[p] {
			return
		}
		met[p] = true
		for _, r := range slices.SortedFunc(slices.Values(missing.info.References), proto.StorePath.Compare) {
			visit(r)
		}
		order = append(order, missing.info)
	}
	visit(toplevel)
	return order
}

// open returns the archive of a path that is missing.
func (b *batch) open(info narinfo.Info) (io.ReadCloser, error) {
	return b.from.open(b.ctx, b.paths[info.Path])
}
