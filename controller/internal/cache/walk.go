package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"kedge/internal/narinfo"
	"kedge/proto"
)

// A narInfo is what the cache says about one store path.
type narInfo struct {
	narinfo.Info
	ours bool // signed by the cache's key
}

// walked is the paths that were met on a walk through the cache.
type walked map[proto.StorePath]narInfo

// A gap is a path that cannot be fetched from the cache.
type gap struct {
	path proto.StorePath
	why  error // fs.ErrNotExist, or narinfo.ErrInvalid if there is something of it
}

// errUnsigned is wrapped by why a path cannot be fetched with our signature, though it can be
// with another.
var errUnsigned = fmt.Errorf("%w: it is not signed by us", narinfo.ErrInvalid)

// Error implements error.
func (g gap) Error() string { return fmt.Sprintf("%s cannot be fetched: %v", g.path, g.why) }

// Unwrap returns why.
func (g gap) Unwrap() error { return g.why }

// walk adds toplevel and all that it needs to found, and returns what cannot be
// fetched, or not with our signature where that is asked for. What only the
// missing paths need is not known.
func (c *Cache) walk(toplevel proto.StorePath, ours bool, found walked) ([]gap, error) {
	var gaps []gap
	met := make(map[proto.StorePath]bool)
	next := []proto.StorePath{toplevel}
	for len(next) > 0 {
		p := next[len(next)-1]
		next = next[:len(next)-1]
		if _, whole := found[p]; whole || met[p] {
			continue
		}
		met[p] = true
		info, err := c.lookUp(p)
		switch {
		case err == nil && ours && !info.ours:
			gaps = append(gaps, gap{p, errUnsigned})
			next = append(next, info.References...)
		case errors.Is(err, narinfo.ErrInvalid), errors.Is(err, fs.ErrNotExist):
			gaps = append(gaps, gap{p, err})
		case err != nil:
			return nil, err
		default:
			found[p] = info
			next = append(next, info.References...)
		}
	}
	return gaps, nil
}

// lookUp returns what the cache says about p, after looking whether it can be
// fetched.
func (c *Cache) lookUp(p proto.StorePath) (narInfo, error) {
	info, err := c.describe(p)
	if err != nil {
		return narInfo{}, err
	}
	if info.Elsewhere() {
		return info, nil
	}
	stat, err := os.Stat(filepath.Join(c.dir, info.File))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return narInfo{}, fmt.Errorf("%w: %s does not exist", narinfo.ErrInvalid, info.File)
	case err != nil:
		return narInfo{}, err
	case info.FileSize >= 0 && stat.Size() != info.FileSize:
		return narInfo{}, fmt.Errorf("%w: %s has %d bytes, want %d", narinfo.ErrInvalid, info.File, stat.Size(), info.FileSize)
	}
	return info, nil
}

// describe returns what the cache says about p, whether it can be fetched or not.
func (c *Cache) describe(p proto.StorePath) (info narInfo, err error) {
	if info, known := c.recall(p); known {
		return info, nil
	}
	text, err := os.ReadFile(c.narInfoFile(p))
	if err != nil {
		return narInfo{}, err
	}
	if info.Info, err = narinfo.Parse(text); err != nil {
		return narInfo{}, err
	}
	if info.Path != p {
		return narInfo{}, fmt.Errorf("%w: it is about %s", narinfo.ErrInvalid, info.Path)
	}
	info.ours = info.SignedBy(c.key)
	return info, nil
}

// discard removes what is there of gaps, so that these paths are copied anew. What can be
// fetched and is not signed by us stays: see countersign.
func (c *Cache) discard(ctx context.Context, gaps []gap) error {
	for _, g := range gaps {
		if errors.Is(g.why, fs.ErrNotExist) || errors.Is(g.why, errUnsigned) {
			continue
		}
		c.log.InfoContext(ctx, "path in the cache is copied anew", "path", g.path, "err", g.why)
		c.forget(g.path)
		if err := os.Remove(c.narInfoFile(g.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// closure returns the closure of toplevel, all of which was met.
func (w walked) closure(toplevel proto.StorePath) proto.Closure {
	var closure proto.Closure
	seen := map[proto.StorePath]bool{toplevel: true}
	next := []proto.StorePath{toplevel}
	for len(next) > 0 {
		info := w[next[len(next)-1]]
		next = next[:len(next)-1]
		closure = append(closure, proto.ClosurePath{Path: info.Path, NarHash: info.Hash, NarSize: info.Size})
		for _, r := range info.References {
			if !seen[r] {
				seen[r] = true
				next = append(next, r)
			}
		}
	}
	slices.SortFunc(closure, func(a, b proto.ClosurePath) int { return a.Path.Compare(b.Path) })
	return closure
}

func (c *Cache) recall(p proto.StorePath) (info narInfo, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, known = c.known[p]
	return info, known
}

func (c *Cache) remember(infos walked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(c.known, infos)
}

func (c *Cache) forget(p proto.StorePath) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, p)
}

func (c *Cache) narInfoFile(p proto.StorePath) string {
	return filepath.Join(c.dir, p.Hash()+narInfoSuffix)
}
