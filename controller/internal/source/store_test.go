package source_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"kedge/controller/internal/source"
	"kedge/internal/nix"
	"kedge/proto"
)

// A store keeps what is added to it as text, a line for each file.
type store struct {
	added map[proto.StorePath]string
	roots map[string]proto.StorePath
}

// AddSource implements [source.Store]: what is the same has the same path.
func (s *store) AddSource(_ context.Context, root string, tree *nix.File) (proto.StorePath, error) {
	var text strings.Builder
	if err := list(&text, tree, ""); err != nil {
		return proto.StorePath{}, err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text.String())))
	hash := strings.Map(func(r rune) rune { // the letter e is in no hash of Nix's
		if r == 'e' {
			return 'z'
		}
		return r
	}, sum[:32])
	path, err := proto.ParseStorePath(proto.StoreDir + hash + "-source")
	if err == nil {
		s.added[path], s.roots[root] = text.String(), path
	}
	return path, err
}

// list writes what there is in a tree in the order of its names.
func list(to *strings.Builder, f *nix.File, at string) error {
	if f.Entries != nil {
		for _, name := range slices.Sorted(maps.Keys(f.Entries)) {
			inside := name
			if at != "" {
				inside = at + "/" + name
			}
			if err := list(to, f.Entries[name], inside); err != nil {
				return err
			}
		}
		if len(f.Entries) == 0 {
			fmt.Fprintf(to, "%s/\n", at)
		}
		return nil
	}
	contents, size, err := f.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	text, err := io.ReadAll(contents)
	if err != nil {
		return err
	}
	if int64(len(text)) != size {
		return fmt.Errorf("%s: %d bytes, and is said to have %d", at, len(text), size)
	}
	kind := ": "
	switch {
	case f.Symlink:
		kind = " -> "
	case f.Executable:
		kind = "*: "
	}
	fmt.Fprintf(to, "%s%s%s\n", at, kind, strings.TrimSpace(string(text)))
	return contents.Close()
}

// A repository is one with what it put into the store.
type repository struct {
	*source.Repository
	store *store
}

// files returns what Nix is given, a line for each file, and what it is told of them.
func (r repository) files(t *testing.T, tree source.Tree) (files string, query url.Values) {
	t.Helper()
	u, err := url.Parse(tree.FlakeRef)
	if err != nil || u.Scheme != "path" {
		t.Fatalf("flake reference %s: %v, want a path", tree.FlakeRef, err)
	}
	path, err := proto.ParseStorePath(u.Path)
	if err != nil || !slices.Contains(slices.Collect(maps.Values(r.store.roots)), path) {
		t.Fatalf("%s has no root: %v", u.Path, err)
	}
	return r.store.added[path], u.Query()
}
