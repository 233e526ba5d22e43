package rootfs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kedge/e2e/internal/command"
)

// build makes the root file system in dir, which must not exist.
func build(ctx context.Context, dir string, p *progress) error {
	apt, err := readApt(ctx)
	if err != nil {
		return err
	}
	p.begin("installing Debian " + suite)
	if _, err := command.Run(ctx, command.Command{
		Args:     isolated("/proc", "debootstrap", "--variant=minbase", "--include="+strings.Join(base(), ","), suite, dir, apt.mirror),
		Env:      append(os.Environ(), apt.proxyEnv()...),
		Progress: p.line,
	}); err != nil {
		return fmt.Errorf("install Debian %s: %w", suite, err)
	}
	p.begin("installing Nix and tools")
	if err := install(ctx, dir, apt, p); err != nil {
		return err
	}
	p.begin("making it slim")
	return finish(dir)
}

// isolated returns the command that runs a program with mount and process namespaces of its own, and its /proc at proc, so
// that nothing stays mounted or running however it ends.
func isolated(proc string, argv ...string) []string {
	return append([]string{"unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc=" + proc}, argv...)
}

// install adds the packages of the second step, in a chroot.
func install(ctx context.Context, dir string, apt apt, p *progress) error {
	if err := prepare(dir); err != nil {
		return err
	}
	argv := slices.Concat([]string{"apt-get", "install", "--yes", "--no-install-recommends", "-oDpkg::Options::=--force-unsafe-io"}, apt.options(), added())
	if err := inside(ctx, dir, apt, p, argv...); err != nil {
		return fmt.Errorf("install %s: %w", strings.Join(added(), " "), err)
	}
	return nil
}

// prepare lets apt-get resolve names in a chroot, and start nothing.
func prepare(dir string) error {
	resolver, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return fmt.Errorf("read the resolver's configuration: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/resolv.conf"), resolver, 0o644); err != nil {
		return fmt.Errorf("prepare name resolution: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "usr/sbin/policy-rc.d"), []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return fmt.Errorf("forbid starting services: %w", err)
	}
	return nil
}

// inside runs a program that uses apt in the chroot dir.
func inside(ctx context.Context, dir string, apt apt, p *progress, argv ...string) error {
	_, err := command.Run(ctx, command.Command{
		Args:     slices.Concat(isolated(filepath.Join(dir, "proc"), "chroot", dir), argv),
		Env:      append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}, apt.proxyEnv()...),
		Progress: p.line,
	})
	return err
}

// finish drops what no host needs and lays the embedded files and the links over the rest.
func finish(dir string) error {
	for _, pattern := range append(dropped(), "usr/sbin/policy-rc.d") {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return fmt.Errorf("drop %s: %w", pattern, err)
		}
		for _, path := range paths {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("drop %s: %w", pattern, err)
			}
		}
	}
	if err := (tree{files, "files"}).lay(dir); err != nil {
		return err
	}
	// Nothing outside is reachable from a host, names come from /etc/hosts, and the journal shall survive a boot.
	if err := write(filepath.Join(dir, "etc/resolv.conf"), nil, 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "var/log/journal"), 0o755); err != nil {
		return err
	}
	for name, target := range links() {
		path := filepath.Join(dir, name)
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
		if err := os.Symlink(target, path); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}

func write(path string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode) // whatever the umask
}
