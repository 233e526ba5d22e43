package source

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"kedge/internal/nix"
	"kedge/proto"
)

const (
	// maxFiles is how many files and directories a revision may have: few objects may make
	// more than there is memory for.
	maxFiles = 1 << 18
	// maxPath is how long the path of a file in a revision may be.
	maxPath = 4096
)

// A commit is what is read of one.
type commit struct {
	tree    string // its ID
	parents []string
	time    int64 // in seconds since 1970
}

// commit reads a commit.
func (o *objects) commit(id string) (c commit, err error) {
	text, err := o.read(id, "commit")
	if err != nil {
		return commit{}, err
	}
	head, _, _ := strings.Cut(string(text), "\n\n")
	for line := range strings.Lines(head + "\n") {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch name {
		case "tree":
			c.tree = value
		case "parent":
			c.parents = append(c.parents, value)
		case "committer": // Name <address> seconds zone
			fields := strings.Fields(value[strings.LastIndexByte(value, '>')+1:])
			if len(fields) == 0 {
				return commit{}, fmt.Errorf("commit %s: it does not say when it was made", id)
			}
			if c.time, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
				return commit{}, fmt.Errorf("commit %s: %w", id, err)
			}
		}
	}
	return c, nil
}

// files is what there is in a revision, and of its submodules.
type files struct {
	count      int
	submodules []submodule // that were met and are empty directories yet; their commits
	places     []*nix.File // where those are
}

// errTooMany: nobody has that many.
var errTooMany = fmt.Errorf("it has more than %d files", maxFiles)

// tree returns a tree of a repository of ours, whose path in the revision is at, with a
// slash at its end. Nothing but names is read yet.
func (f *files) tree(o *objects, id, at string) (*nix.File, error) {
	if len(at) > maxPath {
		return nil, fmt.Errorf("%.60s…: the path has more than %d bytes", at, maxPath)
	}
	entries, err := o.entries(id)
	if err != nil {
		return nil, err
	}
	dir := &nix.File{Entries: make(map[string]*nix.File, len(entries))}
	for _, e := range entries {
		if f.count++; f.count > maxFiles {
			return nil, errTooMany
		}
		if err := e.check(dir); err != nil {
			return nil, fmt.Errorf("%s: %w", at+e.name, err)
		}
		file := &nix.File{}
		switch e.mode {
		case "40000":
			if file, err = f.tree(o, e.id, at+e.name+"/"); err != nil {
				return nil, err
			}
		case "160000":
			commit, err := proto.ParseRevision(e.id)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", at+e.name, err)
			}
			file.Entries = map[string]*nix.File{}
			f.submodules, f.places = append(f.submodules, submodule{path: at + e.name, commit: commit}), append(f.places, file)
		default:
			file.Symlink, file.Executable = e.mode == "120000", e.mode == "100755"
			file.Open = func() (io.ReadCloser, int64, error) {
				found, err := o.object(e.id, "blob")
				if err != nil {
					return nil, 0, err
				}
				return found, found.size, nil
			}
		}
		dir.Entries[e.name] = file
	}
	return dir, nil
}

// An entry is a line of a tree.
type entry struct{ mode, name, id string }

// modes are those that there are. Old gits made files that a group may write.
var modes = []string{"40000", "100644", "100664", "100755", "120000", "160000"}

// check reports why an entry cannot be in a directory, which it is not yet.
func (e entry) check(dir *nix.File) error {
	switch {
	case e.name == "" || e.name == "." || e.name == ".." || strings.ContainsRune(e.name, '/'):
		return fmt.Errorf("%q cannot be the name of a file", e.name)
	case dir.Entries[e.name] != nil:
		return errors.New("it is there twice")
	case !slices.Contains(modes, e.mode):
		return fmt.Errorf("it has the mode %s", e.mode)
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
		if !whole || !spaced || len(rest) < size {
			return nil, fmt.Errorf("tree %s: it ends in the middle", id)
		}
		found = append(found, entry{mode: mode, name: name, id: hex.EncodeToString(rest[:size])})
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
