package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kedge/proto"
)

const (
	// readGrace is for how long what was asked for stays: a host that began to fetch
	// has to find the rest of it, over a slow line, too.
	readGrace = 6 * time.Hour
	// copyGrace is for how long what was written stays, though no closure list names
	// it: somebody is copying.
	copyGrace = time.Hour
)

// PruneOptions says what [Cache.Prune] leaves.
type PruneOptions struct {
	// Keep are the systems that are needed now.
	Keep []proto.StorePath
	// Retention is for how long a system stays after it was needed last. What was
	// pushed or asked for just now stays in any case.
	Retention time.Duration
	// Short has files removed at once that nothing names, which otherwise stay for
	// those who are reading them.
	Short bool
}

// Pruned is what [Cache.Prune] removed.
type Pruned struct {
	Systems, Paths int
	Bytes          int64 // of archives
}

// Prune removes the systems that nobody needs any more, and all that only they
// need. It may be called while the cache is served, and waits for a push that is
// under way. If it is interrupted, at any instant, then what is left is a cache, and
// the next call finds the rest.
//
// When a system was needed last is the date of its closure list. Closure lists are
// removed first, then what tells of paths, and then archives: what is told of is
// there.
func (c *Cache) Prune(ctx context.Context, o PruneOptions) (Pruned, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return Pruned{}, err
	}
	defer leave()
	p := pruning{c: c, o: o, now: c.now(), marked: map[string]bool{}}
	for _, step := range []func() error{p.systems, p.fresh, p.paths, p.archives, p.leftovers} {
		if err = ctx.Err(); err == nil {
			err = step()
		}
		if err != nil {
			return p.done, fmt.Errorf("prune cache %s: %w", c.dir, err)
		}
	}
	c.reads.forget(p.now.Add(-readGrace))
	return p.done, nil
}

// pruning is one call of [Cache.Prune].
type pruning struct {
	c      *Cache
	o      PruneOptions
	now    time.Time
	marked map[string]bool // hashes of the paths that stay
	done   Pruned
}

// systems removes the closure lists of systems that are not needed, and marks the
// closures of the others.
func (p *pruning) systems() error {
	dir := filepath.Join(p.c.dir, closuresDir)
	for _, system := range p.o.Keep {
		if err := p.need(system); err != nil {
			return err
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	removed := false
	for _, f := range files {
		written, err := dateOf(f)
		if err != nil {
			return err
		}
		base, isList := strings.CutSuffix(f.Name(), listSuffix)
		system, err := proto.ParseStorePath(proto.StoreDir + base)
		switch {
		case !isList || err != nil: // left behind by a crash
			if written.After(p.now.Add(-copyGrace)) {
				continue
			}
		case p.stays(system, written):
			if err := p.mark(system); err != nil {
				return err
			}
			continue
		default:
			p.done.Systems++
		}
		if err := p.c.remove(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
		removed = true
	}
	if !removed {
		return nil
	}
	return syncFile(dir)
}

// need notes that a system is needed now.
func (p *pruning) need(system proto.StorePath) error {
	err := os.Chtimes(p.c.listFile(system), p.now, p.now)
	if errors.Is(err, fs.ErrNotExist) {
		p.follow(system)
		return nil
	}
	return err
}

// stays reports whether the closure list of a system, of that date, stays.
func (p *pruning) stays(system proto.StorePath, needed time.Time) bool {
	return needed.After(p.now.Add(-max(p.o.Retention, copyGrace))) || p.read(system.Hash()+narInfoSuffix, readGrace)
}

// read reports whether a file was asked for within a time.
func (p *pruning) read(file string, within time.Duration) bool {
	return p.c.reads.last(file).After(p.now.Add(-within))
}

// mark marks the closure of a system, by its list if that can be read.
func (p *pruning) mark(system proto.StorePath) error {
	text, err := os.ReadFile(p.c.listFile(system))
	if err != nil {
		return err
	}
	hashes, ok := hashesIn(text)
	if !ok {
		p.follow(system)
		return nil
	}
	for _, hash := range hashes {
		if !p.marked[hash] {
			p.marked[strings.Clone(hash)] = true // and not the whole list
		}
	}
	return nil
}

// follow marks a path and all that the cache says that it needs.
func (p *pruning) follow(path proto.StorePath) {
	for next := []proto.StorePath{path}; len(next) > 0; {
		path, next = next[len(next)-1], next[:len(next)-1]
		if p.marked[path.Hash()] {
			continue
		}
		info, err := p.c.describe(path)
		if err != nil {
			continue // it is not there, or of no use
		}
		p.marked[path.Hash()] = true
		next = append(next, info.References...)
	}
}

// fresh marks what was written or asked for just now, and all that it needs.
func (p *pruning) fresh() error {
	return p.eachPath(func(hash string, f fs.DirEntry) error {
		if p.marked[hash] {
			return nil
		}
		written, err := dateOf(f)
		if err != nil {
			return err
		}
		if !written.After(p.now.Add(-copyGrace)) && !p.read(f.Name(), readGrace) {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(p.c.dir, f.Name()))
		if err != nil {
			return err
		}
		if path, ok := pathIn(text); ok {
			p.follow(path)
		}
		return nil
	})
}

// paths removes what tells of the paths that are not marked.
func (p *pruning) paths() error {
	removed := false
	err := p.eachPath(func(hash string, f fs.DirEntry) error {
		if p.marked[hash] {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(p.c.dir, f.Name()))
		if err != nil {
			return err
		}
		if path, ok := pathIn(text); ok {
			p.c.forget(path)
		}
		if err := p.leave(archiveOf(text)); err != nil {
			return err
		}
		if err := p.c.remove(filepath.Join(p.c.dir, f.Name())); err != nil {
			return err
		}
		p.done.Paths++
		removed = true
		return nil
	})
	if err != nil || !removed {
		return err
	}
	return syncFile(p.c.dir) // before any archive goes
}

// leave has the grace of an archive begin now, as its path is not told of any more.
func (p *pruning) leave(archive string) error {
	if p.o.Short || !narName.MatchString("/"+archive) {
		return nil
	}
	err := os.Chtimes(filepath.Join(p.c.dir, archive), p.now, p.now)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// archives removes the archives that nothing names, once nobody can be reading them. One
// that is gone is passed over: builds copy into the cache without waiting for us, and Nix
// renames what it has written.
func (p *pruning) archives() error {
	named := map[string]bool{}
	err := p.eachPath(func(_ string, f fs.DirEntry) error {
		text, err := os.ReadFile(filepath.Join(p.c.dir, f.Name()))
		if err == nil {
			named[archiveOf(text)] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	grace := readGrace
	if p.o.Short {
		grace = copyGrace
	}
	dir := filepath.Join(p.c.dir, "nar")
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := "nar/" + f.Name()
		if named[name] || f.IsDir() {
			continue
		}
		stat, err := f.Info()
		if err == nil && (stat.ModTime().After(p.now.Add(-grace)) || p.read(name, grace)) {
			continue
		}
		if err == nil {
			err = p.c.remove(filepath.Join(dir, f.Name()))
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		p.done.Bytes += stat.Size()
	}
	return nil
}

// leftovers removes what is left of descriptions that were not written to the end. One
// that cannot be removed keeps none of the others.
func (p *pruning) leftovers() error {
	files, err := os.ReadDir(p.c.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		if !strings.Contains(f.Name(), narInfoSuffix+".tmp") {
			continue
		}
		written, err := dateOf(f)
		if err == nil && written.After(p.now.Add(-copyGrace)) {
			continue
		}
		if err == nil {
			err = p.c.remove(filepath.Join(p.c.dir, f.Name()))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// eachPath calls f for each file that tells of a path.
func (p *pruning) eachPath(f func(hash string, file fs.DirEntry) error) error {
	files, err := os.ReadDir(p.c.dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if hash, ok := strings.CutSuffix(file.Name(), narInfoSuffix); ok && !strings.HasPrefix(hash, ".") {
			if err := f(hash, file); err != nil {
				return err
			}
		}
	}
	return nil
}

// dateOf returns when a file was written.
func dateOf(f fs.DirEntry) (time.Time, error) {
	stat, err := f.Info()
	if err != nil {
		return time.Time{}, err
	}
	return stat.ModTime(), nil
}

// hashesIn returns the hashes of the paths in a closure list. It looks no closer, as
// there are many lists; not ok if it is none.
func hashesIn(list []byte) (hashes []string, ok bool) {
	for line := range strings.Lines(string(list)) {
		rest, ok := strings.CutPrefix(line, proto.StoreDir)
		if !ok || len(rest) < hashLength || !strings.HasSuffix(line, "\n") {
			return nil, false
		}
		hashes = append(hashes, rest[:hashLength])
	}
	return hashes, len(hashes) > 0
}

// pathIn returns the path that a description is about.
func pathIn(narInfo []byte) (path proto.StorePath, ok bool) {
	for line := range strings.Lines(string(narInfo)) {
		if value, found := strings.CutPrefix(line, "StorePath: "); found {
			path, err := proto.ParseStorePath(strings.TrimSuffix(value, "\n"))
			return path, err == nil
		}
	}
	return path, false
}

// hashLength is how many characters of a store path's name are its hash.
const hashLength = 32

// enter waits until nobody else writes the cache. If it does not fail then leave
// must be called.
func (c *Cache) enter(ctx context.Context) (leave func(), err error) {
	select {
	case c.writing <- struct{}{}:
		return func() { <-c.writing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("cache %s: wait for another copy: %w", c.dir, context.Cause(ctx))
	}
}
