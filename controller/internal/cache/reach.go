package cache

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kedge/proto"
)

// maxSets bounds the closures that are remembered: of 2,000 paths each, in 32 MiB.
// Further ones take the place of those that were asked for longest ago.
const maxSets = 4096

// memory is for how long a reach remembers: then it begins anew, since what was pruned
// is of no more use, and what is still asked for is read soon.
const memory = 24 * time.Hour

// A reach knows which files belong to the closures of which systems. It reads a
// closure list once a day, and descriptions of archives only where an archive is asked
// for that nobody asked the description of. Safe for concurrent use.
type reach struct {
	dir string // of the cache
	now func() time.Time

	mu       sync.Mutex          // guards what follows
	begun    time.Time           // to remember
	paths    map[string]uint32   // by the hash in its name; numbered as they are met
	hashes   []string            // by number
	learned  []bool              // by number: whether its archive was looked for
	archives map[string][]uint32 // the paths that a file below the cache is the archive of
	sets     map[proto.StorePath]*set
	clock    uint64 // counts questions
}

// A set is the closure of a system.
type set struct {
	paths    []uint32 // sorted
	learned  bool     // all of them
	lastUsed uint64
}

func newReach(dir string, now func() time.Time) *reach {
	r := &reach{dir: dir, now: now}
	r.begin()
	return r
}

// begin forgets everything. The caller holds r.mu, or is the only one that knows r.
func (r *reach) begin() {
	r.begun = r.now()
	r.paths, r.hashes, r.learned = map[string]uint32{}, nil, nil
	r.archives, r.sets = map[string][]uint32{}, map[proto.StorePath]*set{}
}

// path reports whether the path whose name begins with hash is in the closure of
// one of systems.
func (r *reach) path(hash string, systems []proto.StorePath) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	sets := r.all(systems) // first: they make paths known
	p, known := r.paths[hash]
	return known && in(p, sets)
}

// archive reports whether a file is the archive of a path in the closure of one of
// systems.
func (r *reach) archive(file string, systems []proto.StorePath) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	sets := r.all(systems)
	if r.ofOne(file, sets) {
		return true
	}
	for _, s := range sets {
		r.learn(s)
	}
	return r.ofOne(file, sets)
}

// ofOne reports whether a file is known to be the archive of a path in one of sets.
// The caller holds r.mu.
func (r *reach) ofOne(file string, sets []*set) bool {
	return slices.ContainsFunc(r.archives[file], func(p uint32) bool { return in(p, sets) })
}

// is notes that a file is the archive of a path, as it may be of others: those with
// the same content have one. The caller holds r.mu.
func (r *reach) is(file string, p uint32) {
	if !slices.Contains(r.archives[file], p) {
		r.archives[file] = append(r.archives[file], p)
	}
}

// describes notes which archive a description names.
func (r *reach) describes(hash string, narinfo []byte) {
	file := archiveOf(narinfo)
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, known := r.paths[hash]; known && file != "" {
		r.is(file, p)
	}
}

func in(p uint32, sets []*set) bool {
	return slices.ContainsFunc(sets, func(s *set) bool {
		_, found := slices.BinarySearch(s.paths, p)
		return found
	})
}

// all returns the sets of systems, but for those that the cache has no list of. The
// caller holds r.mu.
func (r *reach) all(systems []proto.StorePath) []*set {
	if r.now().Sub(r.begun) >= memory {
		r.begin()
	}
	r.clock++
	sets := make([]*set, 0, len(systems))
	for _, system := range systems {
		s := r.sets[system]
		if s == nil {
			if s = r.read(system); s == nil {
				continue
			}
			r.makeRoom()
			r.sets[system] = s
		}
		s.lastUsed = r.clock
		sets = append(sets, s)
	}
	return sets
}

// read reads a closure list; nil if there is none that can be read. The caller
// holds r.mu.
func (r *reach) read(system proto.StorePath) *set {
	text, err := os.ReadFile(filepath.Join(r.dir, closuresDir, system.Base()+listSuffix))
	if err != nil {
		return nil
	}
	closure, err := proto.ParseClosure(text)
	if err != nil {
		return nil
	}
	s := &set{paths: make([]uint32, 0, len(closure))}
	for _, c := range closure {
		hash := strings.Clone(c.Path.Hash()) // and not the whole list
		p, known := r.paths[hash]
		if !known {
			p = uint32(len(r.hashes)) //nolint:gosec // a disk has no room for so many paths
			r.paths[hash] = p
			r.hashes, r.learned = append(r.hashes, hash), append(r.learned, false)
		}
		s.paths = append(s.paths, p)
	}
	slices.Sort(s.paths)
	return s
}

// learn reads the descriptions of a set's paths, once. The caller holds r.mu.
func (r *reach) learn(s *set) {
	if s.learned {
		return
	}
	s.learned = true
	for _, p := range s.paths {
		if r.learned[p] {
			continue
		}
		r.learned[p] = true
		narinfo, err := os.ReadFile(filepath.Join(r.dir, r.hashes[p]+".narinfo"))
		if file := archiveOf(narinfo); err == nil && file != "" {
			r.is(file, p)
		}
	}
}

// makeRoom forgets the set that was asked for longest ago, if there are many. The
// caller holds r.mu.
func (r *reach) makeRoom() {
	if len(r.sets) < maxSets {
		return
	}
	oldest := slices.MinFunc(slices.Collect(maps.Keys(r.sets)), func(a, b proto.StorePath) int {
		return cmp.Compare(r.sets[a].lastUsed, r.sets[b].lastUsed)
	})
	delete(r.sets, oldest)
}

// archiveOf returns the file that a description names, relative to the cache.
func archiveOf(narinfo []byte) string {
	for line := range bytes.Lines(narinfo) {
		if file, ok := strings.CutPrefix(string(bytes.TrimSuffix(line, []byte("\n"))), "URL: "); ok {
			return file
		}
	}
	return ""
}
