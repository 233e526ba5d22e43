package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kedge/proto"
)

// AddToStore puts a copy of the folder dir into the build host's store, kept
// from being collected for as long as nobody collects.
func (f *Fleet) AddToStore(ctx context.Context, dir string) (storePath string, err error) {
	const work = "/var/tmp/add"
	name := filepath.Base(dir)
	copied := filepath.Join(f.build.Root(), work, name)
	defer func() { _ = os.RemoveAll(copied) }() // of no more use, and in nobody's way
	if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
		return "", fmt.Errorf("add %s to store: %w", name, err)
	}
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		return "", fmt.Errorf("add %s to store: %w", name, err)
	}
	out, err := f.build.Run(ctx, "nix-store", "--add", filepath.Join(work, name))
	if err != nil {
		return "", fmt.Errorf("add %s to store: %w", name, err)
	}
	return strings.TrimSpace(out), nil
}

// BuildCommitted builds the toplevel of a host from [Worktree], as somebody who
// is not the controller: nobody signs it.
func (f *Fleet) BuildCommitted(ctx context.Context, host string) (proto.StorePath, error) {
	return buildCommitted(ctx, f.build.Run, host)
}

func buildCommitted(ctx context.Context, run runner, host string) (proto.StorePath, error) {
	out, err := run(ctx, "nix", "build", "--no-link", "--print-out-paths",
		"git+file://"+Worktree+"#nixosConfigurations."+host+".config.system.build.toplevel")
	if err != nil {
		return proto.StorePath{}, err
	}
	return proto.ParseStorePath(strings.TrimSpace(out))
}

// CacheDir is where the controller has its binary cache, on the build host.
const CacheDir = "/var/lib/kedge-controller/cache"

// A NarInfo is a path's description in the binary cache.
type NarInfo struct {
	File string // on the build host
	Text string
}

// NarInfo reads the description of a path.
func (f *Fleet) NarInfo(path proto.StorePath) (NarInfo, error) {
	hash, _, _ := strings.Cut(path.Base(), "-")
	n := NarInfo{File: CacheDir + "/" + hash + ".narinfo"}
	b, err := f.build.ReadFile(n.File)
	n.Text = string(b)
	return n, err
}

// Field returns what a field says, such as URL; empty if there is none.
func (n NarInfo) Field(name string) string {
	for line := range strings.Lines(n.Text) {
		if value, is := strings.CutPrefix(line, name+": "); is {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
