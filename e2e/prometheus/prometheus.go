//go:build e2e

// Package prometheus gets Prometheus for tests: the programs of Debian's package, which is not installed.
package prometheus

import (
	"context"
	"path/filepath"

	"kedge/e2e/internal/debian"
)

// Unpack unpacks the programs into dir, and returns the directory that has prometheus and promtool. They need no
// more than libc.
func Unpack(ctx context.Context, dir string) (bin string, err error) {
	if err := debian.Unpack(ctx, dir, "prometheus"); err != nil {
		return "", err
	}
	return filepath.Join(dir, "usr", "bin"), nil
}
