package rootfs

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"kedge/e2e/internal/command"
)

// EnsureNix is [Ensure] of the same root file system with the Nix of another Debian release, as it is on the day when it is
// made. The first time takes half a minute more.
func EnsureNix(ctx context.Context, log func(string), release string) (dir string, err error) {
	plain, err := Ensure(ctx, log)
	if err != nil {
		return "", err
	}
	return ensure(ctx, log, nixKey(release), func(ctx context.Context, dir string, p *progress) error {
		return buildNix(ctx, plain, dir, release, p)
	})
}

// nixVersion changes whenever the steps of buildNix do.
const nixVersion = 1

// nixKey is [key] of the root file system with the Nix of a release.
func nixKey(release string) string { return fmt.Sprintf("%s-%s%d", key(), release, nixVersion) }

func buildNix(ctx context.Context, plain, dir, release string, p *progress) error {
	apt, err := readApt(ctx)
	if err != nil {
		return err
	}
	p.begin("installing the Nix of Debian " + release)
	if _, err := command.Run(ctx, command.Command{Args: []string{"cp", "--archive", "--reflink=auto", plain, dir}}); err != nil {
		return fmt.Errorf("copy the plain one: %w", err)
	}
	source := fmt.Sprintf("deb %s %s main\n", apt.mirror, release)
	if err := write(filepath.Join(dir, "etc/apt/sources.list.d/nix.list"), []byte(source), 0o644); err != nil {
		return fmt.Errorf("add the packages of Debian %s: %w", release, err)
	}
	if err := prepare(dir); err != nil {
		return err
	}
	get := append([]string{"apt-get"}, apt.options()...)
	if err := inside(ctx, dir, apt, p, slices.Concat(get, []string{"update", "-oAcquire::Languages=none"})...); err != nil {
		return fmt.Errorf("list the packages of Debian %s: %w", release, err)
	}
	// Beside Nix comes from there only what it needs.
	if err := inside(ctx, dir, apt, p, slices.Concat(get, []string{
		"install", "--yes", "--no-install-recommends", "-oDpkg::Options::=--force-unsafe-io",
		"--allow-downgrades", "--target-release=" + release, "nix-bin/" + release,
	})...); err != nil {
		return fmt.Errorf("install the Nix of Debian %s: %w", release, err)
	}
	return finish(dir)
}
