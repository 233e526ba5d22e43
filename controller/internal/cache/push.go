package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"kedge/internal/nix"
	"kedge/proto"
)

// maxSyncs is how many files are synced at once. A file system writes many with
// one commit of its journal.
const maxSyncs = 32

// maxRounds is how often one push may copy or sign, together: once as a rule, again to mend
// what that brought to light.
const maxRounds = 6

// Closures are the closures of toplevels.
type Closures map[proto.StorePath]proto.Closure

// Push makes the closures of toplevels fetchable, signed by our key, and writes
// their closure lists. The caller vouches that they are what we built. Paths
// that are in the cache already, whole and signed by us, are not touched; if all
// are, nothing is started. Those that are whole and signed by others are signed as well.
// What it returns is on the disk.
func (c *Cache) Push(ctx context.Context, toplevels ...proto.StorePath) (Closures, error) {
	return c.addAndSend(ctx, true, toplevels)
}

// Relay makes the closures of toplevels fetchable with the signatures that they
// have, and writes their closure lists; see [Cache.Signed].
func (c *Cache) Relay(ctx context.Context, toplevels ...proto.StorePath) (Closures, error) {
	return c.addAndSend(ctx, false, toplevels)
}

// addAndSend also copies to further caches; meanwhile others may write ours, and prune
// it: so all is added once more, which costs little where it is there.
func (c *Cache) addAndSend(ctx context.Context, ours bool, toplevels []proto.StorePath) (Closures, error) {
	closures, err := c.add(ctx, ours, toplevels)
	if err != nil {
		return nil, err
	}
	if len(c.targets) == 0 {
		return closures, nil
	}
	if err := c.send(ctx, ours, closures); err != nil {
		return nil, err
	}
	return c.add(ctx, ours, toplevels)
}

func (c *Cache) add(ctx context.Context, ours bool, toplevels []proto.StorePath) (Closures, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	found, err := c.fill(ctx, ours, toplevels)
	if err != nil {
		return nil, err
	}
	closures := make(Closures, len(toplevels))
	for _, t := range toplevels {
		closures[t] = found.closure(t)
	}
	if err := c.sync(found, closures); err != nil {
		return nil, fmt.Errorf("cache %s: %w", c.dir, err)
	}
	return closures, nil
}

// fill copies what the cache lacks of the closures of toplevels, and returns
// all of them.
//
// What a path needs is known when its narinfo is there. So it may take a copy to
// find that something further down, which was there before, is torn or not
// signed by us, and another one to mend that. What can be fetched stays so
// meanwhile, where it is what the local store has.
func (c *Cache) fill(ctx context.Context, ours bool, toplevels []proto.StorePath) (walked, error) {
	for round := 0; ; round++ {
		found := make(walked)
		var incomplete, unsigned []proto.StorePath
		for _, t := range toplevels {
			gaps, err := c.walk(t, ours, found)
			if err == nil && len(gaps) > 0 && round == maxRounds {
				err = fmt.Errorf("after it was copied: %w", gaps[0])
			}
			if err == nil {
				err = c.discard(ctx, gaps)
			}
			switch {
			case err != nil:
				return nil, fmt.Errorf("cache %s: %w", t, err)
			case len(gaps) == 0:
			case slices.ContainsFunc(gaps, func(g gap) bool { return !errors.Is(g, errUnsigned) }):
				incomplete = append(incomplete, t)
			default:
				unsigned = append(unsigned, t)
			}
		}
		switch {
		case len(incomplete) > 0: // the rest is looked at once that is whole
		case len(unsigned) > 0:
			if err := c.countersign(ctx, unsigned); err != nil {
				return nil, fmt.Errorf("cache %s: sign what is there: %w", c.dir, err)
			}
			continue
		default:
			return found, nil
		}
		if err := c.seed(ctx, ours, incomplete); err != nil {
			return nil, fmt.Errorf("cache %s: ask upstream caches: %w", c.dir, err)
		}
		if err := c.nix.Copy(ctx, nix.CopyOptions{To: c.url(ours), Paths: incomplete}); err != nil {
			return nil, fmt.Errorf("copy into cache %s: %w", c.dir, err)
		}
	}
}

// ErrGone says that a toplevel is neither in the local store nor in a cache of ours.
var ErrGone = errors.New("it is not in the store of this machine, nor in its cache if it has one")

// Closures returns the closures of toplevels, which are in the cache or in the
// local store; the error wraps [ErrGone] if one is in neither. It changes nothing.
func (c *Cache) Closures(ctx context.Context, toplevels ...proto.StorePath) (Closures, error) {
	closures, _, err := c.find(ctx, toplevels)
	return closures, err
}

// Provide is [Cache.Closures], but for that it makes fetchable, as [Cache.Push] does, what
// the cache lacks and the local store has.
func (c *Cache) Provide(ctx context.Context, toplevels ...proto.StorePath) (Closures, error) {
	closures, lacks, err := c.find(ctx, toplevels)
	if err != nil || len(lacks) == 0 {
		return closures, err
	}
	pushed, err := c.Push(ctx, lacks...)
	if err != nil {
		return nil, err
	}
	maps.Copy(closures, pushed)
	return closures, nil
}

// find is Closures, and names the toplevels that cannot be fetched whole from the cache.
func (c *Cache) find(ctx context.Context, toplevels []proto.StorePath) (closures Closures, lacks []proto.StorePath, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	closures = make(Closures, len(toplevels))
	var unread error // why the cache may have what it does not show
	for _, t := range toplevels {
		found := make(walked)
		gaps, err := c.walk(t, false, found)
		if err != nil {
			unread = fmt.Errorf("closure of %s: %w", t, err)
		}
		if err != nil || len(gaps) > 0 {
			lacks = append(lacks, t)
			continue
		}
		closures[t] = found.closure(t)
	}
	if len(lacks) == 0 {
		return closures, nil, nil
	}
	local, err := c.Outside.Closures(ctx, lacks...)
	if errors.Is(err, ErrGone) && unread != nil {
		return nil, nil, unread
	}
	if err != nil {
		return nil, nil, err
	}
	maps.Copy(closures, local)
	return closures, lacks, nil
}

// sync writes closure lists, and puts on the disk what was not known to be
// there. It waits for all of that at once, which a file system writes together.
func (c *Cache) sync(found walked, closures Closures) error {
	var files []string
	fresh := make(walked)
	for p, info := range found {
		if _, known := c.recall(p); known {
			continue
		}
		fresh[p] = info
		files = append(files, c.narInfoFile(p))
		if !info.Elsewhere() {
			files = append(files, filepath.Join(c.dir, info.File))
		}
	}
	if len(fresh) > 0 { // the names are content, too
		files = append(files, filepath.Join(c.dir, "nar"), c.dir)
	}
	var group errgroup.Group
	group.SetLimit(maxSyncs)
	for t, closure := range closures {
		group.Go(func() error {
			if err := replace(c.listFile(t), closure.Text()); err != nil {
				return err
			}
			return os.Chtimes(c.listFile(t), c.now(), c.now()) // it is needed now
		})
	}
	for _, file := range files {
		group.Go(func() error { return syncFile(file) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	c.remember(fresh)
	return nil
}

// syncFile puts a file or directory on the disk.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
