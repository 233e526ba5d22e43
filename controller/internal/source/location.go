package source

import (
	"os"
	"path/filepath"
	"strings"

	"kedge/proto"
)

// A location is where a repository is, as git may be told.
type location struct {
	url   string
	local bool   // on this machine
	path  string // if local
}

// gitDir returns the directory in which a local repository keeps its objects and
// refs, or "" if it is none of the two that it mostly is.
func (l location) gitDir() string {
	if !l.local {
		return ""
	}
	for _, dir := range []string{filepath.Join(l.path, ".git"), l.path} {
		head, err := os.Stat(filepath.Join(dir, "HEAD"))
		if err != nil || !head.Mode().IsRegular() {
			continue
		}
		if objects, err := os.Stat(filepath.Join(dir, "objects")); err == nil && objects.IsDir() {
			return dir
		}
	}
	return ""
}

// objects returns the directory of the objects of a local repository, or "" if
// they cannot be borrowed from there.
func (l location) objects() string {
	dir := l.gitDir()
	if dir == "" || strings.ContainsFunc(dir, func(r rune) bool { return r == '"' || isControl(r) }) {
		return ""
	}
	if _, err := os.Stat(filepath.Join(dir, "shallow")); err == nil {
		return "" // only that file says where its history ends
	}
	return filepath.Join(dir, "objects")
}

// branch returns the revision of a branch of a local repository, where it stands
// in a file of its own: as a rule, and always after a push to it. Git replaces
// that file whole.
func (l location) branch(name string) (revision proto.Revision, found bool) {
	file := l.branchFile(name)
	if stat, err := os.Lstat(file); err != nil || !stat.Mode().IsRegular() {
		return proto.Revision{}, false
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return proto.Revision{}, false
	}
	revision, err = proto.ParseRevision(strings.TrimSuffix(string(text), "\n"))
	return revision, err == nil
}

// branchFile returns the file in which a branch of a local repository stands
// after a push to it, or "" if there is no local repository.
func (l location) branchFile(name string) string {
	dir := l.gitDir()
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "refs", "heads", filepath.FromSlash(name))
}
