package nix

import (
	"bytes"
	"context"
	"fmt"
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

// PathInfos returns the hash and size of each of paths, in their order. All of
// them must be valid in the local store.
func (c *CLI) PathInfos(ctx context.Context, paths ...proto.StorePath) (proto.Closure, error) {
	infos := make(proto.Closure, 0, len(paths))
	for chunk := range chunks(paths) {
		// One process where --query --hash and --query --size would be two.
		out, err := c.run(ctx, "nix-store", []string{"--dump-db"}, texts(chunk))
		if err != nil {
			return nil, err
		}
		registered, err := parseRegistrations(out)
		if err != nil {
			return nil, fmt.Errorf("nix-store --dump-db: %w", err)
		}
		for _, p := range chunk {
			info, ok := registered[p]
			if !ok {
				return nil, fmt.Errorf("nix-store --dump-db: it does not tell about %s", p)
			}
			infos = append(infos, info)
		}
	}
	return infos, nil
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
