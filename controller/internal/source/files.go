package source

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"kedge/internal/nix"
	"kedge/proto"
)

const (
	// maxFiles is how many files and directories a revision may have: few objects may make
	// more than there is memory for.
	maxFiles = 1 << 20
	// maxPath is how long the path of a file in a revision may be.
	maxPath = 4096
)

// A commit is what is read of one.
type commit struct {
	tree    string // its ID
	parents []string
	time    int64 // in seconds since 1970
}

// commit reads a commit as git does: what else its head has, such as one more tree, is
// nothing to go by.
func (o *objects) commit(id string) (c commit, err error) {
	text, err := o.read(id, "commit")
	if err != nil {
		return commit{}, err
	}
	head, _, _ := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	next := func(name string) (value string, found bool) {
		if len(lines) > 0 {
			if value, found = strings.CutPrefix(lines[0], name+" "); found {
				lines = lines[1:]
			}
		}
		return value, found
	}
	c.tree, _ = next("tree")
	for parent, found := next("parent"); found; parent, found = next("parent") {
		c.parents = append(c.parents, parent)
	}
	_, _ = next("author")
	committer, _ := next("committer") // Name <address> seconds zone
	fields := strings.Fields(committer[strings.LastIndexByte(committer, '>')+1:])
	if len(c.tree) != len(id) || len(fields) == 0 {
		return commit{}, fmt.Errorf("commit %s: it does not say what is in it, and when it was made", id)
	}
	if c.time, err = strconv.ParseInt(fields[0], 10, 64); err != nil || c.time < 0 {
		return commit{}, fmt.Errorf("commit %s: it was made at %q, which is no time", id, fields[0])
	}
	return c, nil
}

// files is what there is in a revision, and of its submodules.
type files struct {
	count      int
	trees      map[string][]entry // that were read, by their IDs
	submodules []submodule        // that were met and are empty directories yet; their commits
	places     []*nix.File        // where those are
	bytes      int64              // of the files that were opened
	most       int64              // as many may those have
}

// errTooMany: nobody has that many.
var errTooMany = fmt.Errorf("it has more than %d files", maxFiles)

// add counts the bytes of a file that is about to be written.
func (f *files) add(size int64) error {
	if size > f.most-f.bytes {
		return fmt.Errorf("%w: this file has %d bytes, those before it have %d, and all may have %d; take large files out of the repository, and have the configuration fetch them",
			ErrTooLarge, size, f.bytes, f.most)
	}
	f.bytes += size
	return nil
}

// tree returns a tree of a repository of ours, whose path in the revision is at, with a
// slash at its end. Nothing but names is read yet.
func (f *files) tree(o *objects, id, at string) (*nix.File, error) {
	if len(at) > maxPath {
		return nil, fmt.Errorf("%.60s…: the path has more than %d bytes", at, maxPath)
	}
	entries, known := f.trees[id]
	if !known {
		var err error
		if entries, err = o.entries(id); err != nil {
			return nil, err
		}
		f.trees[id] = entries
	}
	dir := &nix.File{Entries: make(map[string]*nix.File, len(entries))}
	for _, e := range entries {
		if f.count++; f.count > maxFiles {
			return nil, errTooMany
		}
		if err := e.check(dir); err != nil {
			return nil, fmt.Errorf("%s: %w", at+e.name, err)
		}
		file, err := f.file(o, e, at+e.name)
		if err != nil {
			return nil, err
		}
		dir.Entries[e.name] = file
	}
	return dir, nil
}

// file returns what an entry of a tree is.
func (f *files) file(o *objects, e entry, at string) (*nix.File, error) {
	switch e.kind {
	case kindTree:
		return f.tree(o, e.id, at+"/")
	case kindCommit:
		commit, err := proto.ParseRevision(e.id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		place := &nix.File{Entries: map[string]*nix.File{}}
		f.submodules, f.places = append(f.submodules, submodule{path: at, commit: commit}), append(f.places, place)
		return place, nil
	case kindLink:
		return &nix.File{Symlink: true, Open: func() (io.ReadCloser, int64, error) {
			target, err := o.read(e.id, "blob")
			if err != nil {
				return nil, 0, err
			}
			if len(target) == 0 || len(target) > maxPath || bytes.IndexByte(target, 0) >= 0 {
				return nil, 0, errors.New("a symbolic link cannot lead there")
			}
			if err := f.add(int64(len(target))); err != nil {
				return nil, 0, err
			}
			return nix.Text(string(target)).Open()
		}}, nil
	}
	return &nix.File{Executable: e.executable, Open: func() (io.ReadCloser, int64, error) {
		found, err := o.object(e.id, "blob")
		if err != nil {
			return nil, 0, err
		}
		if err := f.add(found.size); err != nil {
			return nil, 0, err // and it is not read: nobody asks this git any more
		}
		return found, found.size, nil
	}}, nil
}

// An entry is a line of a tree.
type entry struct {
	kind       uint64
	executable bool
	name, id   string
}

// The kinds of entries, as the bits of a mode that say them.
const (
	kindTree   = 0o040000
	kindFile   = 0o100000
	kindLink   = 0o120000
	kindCommit = 0o160000
	kindBits   = 0o170000
)

// check reports why an entry cannot be in a directory, which it is not yet.
func (e entry) check(dir *nix.File) error {
	switch {
	case e.name == "" || e.name == "." || e.name == ".." || strings.ContainsRune(e.name, '/'):
		return fmt.Errorf("%q cannot be the name of a file", e.name)
	case dir.Entries[e.name] != nil:
		return errors.New("it is there twice")
	case e.kind != kindTree && e.kind != kindFile && e.kind != kindLink && e.kind != kindCommit:
		return fmt.Errorf("it is of the kind %o, which git does not have", e.kind)
	}
	return nil
}

// entries reads a tree: each entry is a mode, a space, a name, a zero and an ID.
func (o *objects) entries(id string) (found []entry, err error) {
	text, err := o.read(id, "tree")
	if err != nil {
		return nil, err
	}
	size := hex.DecodedLen(len(id))
	for len(text) > 0 {
		head, rest, whole := bytes.Cut(text, []byte{0})
		mode, name, spaced := strings.Cut(string(head), " ")
		bits, err := strconv.ParseUint(mode, 8, 32) // old gits padded it, and had other permissions
		if !whole || !spaced || len(rest) < size || err != nil {
			return nil, fmt.Errorf("tree %s: it ends in the middle", id)
		}
		found = append(found, entry{kind: bits & kindBits, executable: bits&0o100 != 0, name: name, id: hex.EncodeToString(rest[:size])})
		text = rest[size:]
	}
	return found, nil
}

// at returns the file with that path in a tree, or nil.
func at(tree *nix.File, path string) *nix.File {
	for name := range strings.SplitSeq(path, "/") {
		if tree == nil {
			return nil
		}
		tree = tree.Entries[name]
	}
	return tree
}
