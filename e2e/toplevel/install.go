package toplevel

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Machine is a machine that is off, whose disk can be worked on.
type Machine interface {
	// Root is the directory where the disk is mounted.
	Root() string
	// RunOffline runs a program with the disk as its root and returns what it printed.
	RunOffline(ctx context.Context, argv ...string) (string, error)
}

// workDir is where AddToStore and Install put things on the disk while they work.
const workDir = "/var/tmp/install"

// AddToStore puts a copy of the folder dir into the store of the machine's disk and returns its store
// path. The path depends on the content and on the base name of dir only, so it is the same on every
// machine.
func AddToStore(ctx context.Context, m Machine, dir string) (storePath string, err error) {
	name := filepath.Base(dir)
	copied := filepath.Join(m.Root(), workDir, name)
	defer func() { _ = os.RemoveAll(copied) }() // of no more use, and in nobody's way
	if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
		return "", fmt.Errorf("add %s to store: %w", name, err)
	}
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		return "", fmt.Errorf("add %s to store: %w", name, err)
	}
	out, err := m.RunOffline(ctx, "nix-store", "--add", filepath.Join(workDir, name))
	if err != nil {
		return "", fmt.Errorf("add %s to store: %w", name, err)
	}
	return strings.TrimSpace(out), nil
}

// Build builds the systems of all hosts of the fleet on the machine's disk and returns their toplevels
// by host. Nothing of it is a root of the garbage collector. The store must hold the fleet's store
// paths already (AddToStore).
func Build(ctx context.Context, m Machine, f Fleet) (toplevels map[string]string, err error) {
	flake := filepath.Join(workDir, "fleet")
	defer func() { _ = os.RemoveAll(filepath.Join(m.Root(), flake)) }() // of no more use, and in nobody's way
	if err := f.Write(filepath.Join(m.Root(), flake)); err != nil {
		return nil, err
	}
	out, err := m.RunOffline(ctx, "nix", "eval", "--json", "path:"+flake+"#nixosConfigurations",
		"--apply", "builtins.mapAttrs (_: c: let s = c.config.system.build.toplevel; in { drv = s.drvPath; out = s.outPath; })")
	if err != nil {
		return nil, fmt.Errorf("evaluate fleet: %w", err)
	}
	var systems map[string]struct{ Drv, Out string }
	if err := json.Unmarshal([]byte(out), &systems); err != nil {
		return nil, fmt.Errorf("evaluate fleet: %w", err)
	}
	realise := []string{"nix-store", "--realise"}
	toplevels = map[string]string{}
	for host, s := range systems {
		realise = append(realise, s.Drv)
		toplevels[host] = s.Out
	}
	if _, err := m.RunOffline(ctx, realise...); err != nil {
		return nil, fmt.Errorf("build fleet: %w", err)
	}
	return toplevels, nil
}

// Install does what nixos-install does: it builds the host's system on the machine's disk, makes it
// the next generation of the system profile and the boot default, and returns its toplevel. The
// store must hold the fleet's store paths already (AddToStore).
func Install(ctx context.Context, m Machine, f Fleet, host string) (toplevel string, err error) {
	f.Hosts = map[string]Host{host: f.Hosts[host]}
	toplevels, err := Build(ctx, m, f)
	if err != nil {
		return "", fmt.Errorf("install %s: %w", host, err)
	}
	if err := Register(ctx, m, f.Tools, toplevels[host]); err != nil {
		return "", fmt.Errorf("install %s: %w", host, err)
	}
	return toplevels[host], nil
}

// Register makes a toplevel that is in the store of the machine's disk the next generation of the system
// profile and the boot default, with the tools that it was made with.
func Register(ctx context.Context, m Machine, tools, toplevel string) error {
	const script = `
nix-env -p /nix/var/nix/profiles/system --set "$1"
touch /etc/NIXOS
NIXOS_INSTALL_BOOTLOADER=1 "$0"/bin/install-bootloader "$1"`
	if _, err := m.RunOffline(ctx, "sh", "-ec", script, tools, toplevel); err != nil {
		return fmt.Errorf("register %s: %w", toplevel, err)
	}
	return nil
}
