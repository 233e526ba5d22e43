//go:build e2e

// Package prometheus gets Prometheus for tests: the programs of Debian's package, which is not installed.
package prometheus

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"kedge/e2e/internal/command"
)

// Unpack unpacks the programs into dir, and returns the directory that has prometheus and promtool. They need no
// more than libc.
func Unpack(ctx context.Context, dir string) (bin string, err error) {
	run := func(args ...string) error {
		_, err := command.Run(ctx, command.Command{Args: args, Dir: dir})
		return err
	}
	// Where nobody has asked for the lists yet, there is no such package.
	if err = run("apt-get", "download", "prometheus"); err != nil && os.Geteuid() == 0 {
		if err = run("apt-get", "update"); err == nil {
			err = run("apt-get", "download", "prometheus")
		}
	}
	if err != nil {
		return "", fmt.Errorf("get Prometheus: %w", err)
	}
	packages, err := filepath.Glob(filepath.Join(dir, "prometheus_*.deb"))
	if err != nil || len(packages) != 1 {
		return "", fmt.Errorf("get Prometheus: downloaded %q, %w", packages, err)
	}
	if err := run("dpkg-deb", "--extract", packages[0], "."); err != nil {
		return "", fmt.Errorf("get Prometheus: %w", err)
	}
	return filepath.Join(dir, "usr", "bin"), nil
}
