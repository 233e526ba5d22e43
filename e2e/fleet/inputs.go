package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kedge/e2e/toplevel"
)

// lockExample returns the flake.lock of examples/fleet with which its inputs are in
// the build host's store, put there by this: a stand-in for nixpkgs, and this very
// project as far as flakes look at it, whose programs are the fleet's parts.
func (b *buildHost) lockExample(ctx context.Context, parts Parts, root string) ([]byte, error) {
	programs, err := toplevel.AddToStore(ctx, b, filepath.Dir(parts.Bin))
	if err != nil {
		return nil, err
	}
	nixpkgs, err := b.addFlake(ctx, "nixpkgs", func(dir string) error {
		return toplevel.WriteNixpkgs(dir, toplevel.Built{Tools: b.tools, Agent: b.agent, Programs: programs})
	})
	if err != nil {
		return nil, err
	}
	kedge, err := b.addFlake(ctx, "source", func(dir string) error { return copyFlake(dir, root) })
	if err != nil {
		return nil, err
	}
	nixpkgs["original"] = map[string]string{"type": "github", "owner": "NixOS", "repo": "nixpkgs", "ref": "nixos-unstable"}
	kedge["original"] = map[string]string{"type": "git", "url": "https://git.example.org/kedge"}
	kedge["inputs"] = map[string]string{"nixpkgs": "kedge-nixpkgs"}
	return json.MarshalIndent(map[string]any{
		"version": 7,
		"root":    "root",
		"nodes": map[string]any{
			"root":          map[string]any{"inputs": map[string]string{"nixpkgs": "nixpkgs", "kedge": "kedge"}},
			"nixpkgs":       nixpkgs,
			"kedge":         kedge,
			"kedge-nixpkgs": nixpkgs,
		},
	}, "", "  ")
}

// addFlake puts a flake of that name into the store of the build host, which is off,
// and returns the node that locks an input to it.
func (b *buildHost) addFlake(ctx context.Context, name string, write func(dir string) error) (map[string]any, error) {
	dir, err := os.MkdirTemp("", "flake")
	if err != nil {
		return nil, fmt.Errorf("write flake %s: %w", name, err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // of no more use, and in nobody's way
	dir = filepath.Join(dir, name)
	if err := write(dir); err != nil {
		return nil, err
	}
	path, err := toplevel.AddToStore(ctx, b, dir)
	if err != nil {
		return nil, err
	}
	hash, err := b.RunOffline(ctx, "nix", "hash", "path", path)
	if err != nil {
		return nil, err
	}
	return map[string]any{"locked": map[string]any{
		"type": "path", "path": path, "narHash": strings.TrimSpace(hash), "lastModified": 0,
	}}, nil
}

// copyFlake copies the flake of the project in root, and the modules that it names,
// into dir.
func copyFlake(dir, root string) error {
	for _, pattern := range []string{"flake.nix", "nixos-module/*.nix", "nixos-module/fleet/*.nix"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return fmt.Errorf("copy the flake: %w", err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("copy the flake: %w", err)
			}
			to := filepath.Join(dir, strings.TrimPrefix(file, root))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return fmt.Errorf("copy the flake: %w", err)
			}
			if err := os.WriteFile(to, content, 0o644); err != nil {
				return fmt.Errorf("copy the flake: %w", err)
			}
		}
	}
	return nil
}
