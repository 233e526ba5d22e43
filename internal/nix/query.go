package nix

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kedge/proto"
)

// Requisites returns paths and everything they refer to, sorted. All of them
// must be valid in the local store.
func (c *CLI) Requisites(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error) {
	var all []proto.StorePath
	for chunk := range chunks(paths) {
		out, err := c.run(ctx, "nix-store", []string{"--query", "--requisites"}, texts(chunk))
		if err != nil {
			return nil, err
		}
		found, err := parsePaths(out)
		if err != nil {
			return nil, fmt.Errorf("nix-store --query --requisites: %w", err)
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, proto.StorePath.Compare)
	return slices.Compact(all), nil
}

// Closure returns paths and everything they refer to, with hashes and sizes,
// sorted by path. All of them must be valid in the local store.
func (c *CLI) Closure(ctx context.Context, paths ...proto.StorePath) (proto.Closure, error) {
	all, err := c.Requisites(ctx, paths...)
	if err != nil {
		return nil, err
	}
	return c.PathInfos(ctx, all...)
}

// Closures returns the closure of each of paths, as [CLI.Closure] does, with as many
// processes as that has for one.
func (c *CLI) Closures(ctx context.Context, paths ...proto.StorePath) (map[proto.StorePath]proto.Closure, error) {
	all, err := c.Requisites(ctx, paths...)
	if err != nil {
		return nil, err
	}
	registered, err := c.registrations(ctx, all)
	if err != nil {
		return nil, err
	}
	closures := make(map[proto.StorePath]proto.Closure, len(paths))
	for _, p := range paths {
		if closures[p], err = closureOf(p, registered); err != nil {
			return nil, fmt.Errorf("closure of %s: %w", p, err)
		}
	}
	return closures, nil
}

// closureOf returns the closure of a path, sorted by path, of those that are registered.
func closureOf(top proto.StorePath, registered map[proto.StorePath]registration) (closure proto.Closure, err error) {
	seen := map[proto.StorePath]bool{top: true}
	for next := []proto.StorePath{top}; len(next) > 0; {
		r, known := registered[next[len(next)-1]]
		if !known {
			return nil, fmt.Errorf("nix-store: it does not tell about %s", next[len(next)-1])
		}
		next = next[:len(next)-1]
		closure = append(closure, r.ClosurePath)
		for _, p := range r.references {
			if !seen[p] {
				seen[p] = true
				next = append(next, p)
			}
		}
	}
	slices.SortFunc(closure, func(a, b proto.ClosurePath) int { return a.Path.Compare(b.Path) })
	return closure, nil
}

// PathInfos returns the hash and size of each of paths, in their order. All of
// them must be valid in the local store.
func (c *CLI) PathInfos(ctx context.Context, paths ...proto.StorePath) (proto.Closure, error) {
	registered, err := c.registrations(ctx, paths)
	if err != nil {
		return nil, err
	}
	infos := make(proto.Closure, 0, len(paths))
	for _, p := range paths {
		infos = append(infos, registered[p].ClosurePath)
	}
	return infos, nil
}

// registrations returns what the local store has of paths: of each of them.
func (c *CLI) registrations(ctx context.Context, paths []proto.StorePath) (map[proto.StorePath]registration, error) {
	all := make(map[proto.StorePath]registration, len(paths))
	for chunk := range chunks(paths) {
		// One process where --query --hash and --query --size would be two.
		out, err := c.run(ctx, "nix-store", []string{"--dump-db"}, texts(chunk))
		if err != nil {
			return nil, err
		}
		some, err := parseRegistrations(out)
		if err != nil {
			return nil, fmt.Errorf("nix-store --dump-db: %w", err)
		}
		maps.Copy(all, some)
	}
	for _, p := range paths {
		if _, known := all[p]; !known {
			return nil, fmt.Errorf("nix-store --dump-db: it does not tell about %s", p)
		}
	}
	return all, nil
}

// Invalid returns those of paths that are not valid in the local store: not
// there, or not whole.
func (c *CLI) Invalid(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error) {
	var invalid []proto.StorePath
	for chunk := range chunks(paths) {
		out, err := c.run(ctx, "nix-store", []string{"--check-validity", "--print-invalid"}, texts(chunk))
		if err != nil {
			return nil, err
		}
		found, err := parsePaths(out)
		if err != nil {
			return nil, fmt.Errorf("nix-store --check-validity: %w", err)
		}
		invalid = append(invalid, found...)
	}
	return invalid, nil
}

// chunks yields paths in pieces that fit one command line.
func chunks(paths []proto.StorePath) func(yield func([]proto.StorePath) bool) {
	return func(yield func([]proto.StorePath) bool) {
		for len(paths) > 0 {
			n, size := 0, 0
			for n < len(paths) && (n == 0 || size+len(paths[n].String()) < argsLimit) {
				size += len(paths[n].String()) + 1
				n++
			}
			if !yield(paths[:n]) {
				return
			}
			paths = paths[n:]
		}
	}
}

func parsePaths(out []byte) ([]proto.StorePath, error) {
	var paths []proto.StorePath
	for line := range bytes.Lines(out) {
		p, err := proto.ParseStorePath(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}

func texts(paths []proto.StorePath) []string {
	s := make([]string, len(paths))
	for i, p := range paths {
		s[i] = p.String()
	}
	return s
}
