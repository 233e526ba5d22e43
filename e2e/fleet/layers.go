package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"kedge/e2e/hosts"
	"kedge/e2e/toplevel"
)

// layers are what many machines have on their disks, made once.
type layers struct {
	store        string                      // directory of the one with the agent and the tools in the store
	build        string                      // directory of the one above it with what a build host has
	agent, tools string                      // store paths
	services     map[string]toplevel.Service // of the build host, by unit
}

// makeLayers makes the layers in the folder dir, with a network of that name.
func (p Parts) makeLayers(ctx context.Context, network, dir string) (l layers, err error) {
	n, err := hosts.New(ctx, hosts.NetworkOptions{Fleet: network, Rootfs: p.Rootfs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, n.Destroy(context.WithoutCancel(ctx))) }()
	l.store, l.build = filepath.Join(dir, "store"), filepath.Join(dir, "build")
	m, err := n.Machine(ctx, hosts.Options{Name: "store"})
	if err != nil {
		return l, err
	}
	if l.agent, err = toplevel.AddToStore(ctx, m, p.Agent); err != nil {
		return l, err
	}
	if l.tools, err = toplevel.AddToStore(ctx, m, p.Tools); err != nil {
		return l, err
	}
	if err := m.Freeze(l.store); err != nil {
		return l, err
	}
	m, err = n.Machine(ctx, hosts.Options{Name: "build", Layers: []string{l.store}})
	if err != nil {
		return l, err
	}
	if err := initRepositories(ctx, m); err != nil {
		return l, err
	}
	for _, name := range []string{"kedge", "kedge-controller"} {
		content, err := os.ReadFile(filepath.Join(p.Bin, name))
		if err != nil {
			return l, fmt.Errorf("install %s: %w", name, err)
		}
		if err := m.WriteFile(prefix+"/bin/"+name, content, 0o755); err != nil {
			return l, err
		}
	}
	if err := addEvaluator(ctx, m); err != nil {
		return l, err
	}
	if l.services, err = toplevel.BuildHostServices(ctx, m, prefix); err != nil {
		return l, err
	}
	return l, m.Freeze(l.build)
}

// evaluator is the account that evaluates, as the NixOS module calls it.
const evaluator = "kedge-eval"

// addEvaluator makes that account on a machine that is off, as NixOS would.
func addEvaluator(ctx context.Context, m *hosts.Machine) error {
	_, err := m.RunOffline(ctx, "useradd", "--system", "--user-group", "--create-home", "--home-dir", "/var/lib/"+evaluator, "--shell", "/usr/sbin/nologin", evaluator)
	return err
}

// initRepositories makes [Worktree] and [Repository] on a machine that is off.
func initRepositories(ctx context.Context, m *hosts.Machine) error {
	for _, argv := range [][]string{
		{"git", "init", "--quiet", "--bare", "--initial-branch=main", Repository},
		{"git", "init", "--quiet", "--initial-branch=main", Worktree},
		{"git", "-C", Worktree, "remote", "add", "origin", Repository},
		{"git", "config", "--system", "user.name", "Operator"},
		{"git", "config", "--system", "user.email", "operator@example.org"},
	} {
		if _, err := m.RunOffline(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}
