// Package debian gets programs of Debian's packages for tests, without installing them.
package debian

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"kedge/e2e/internal/command"
)

// Unpack downloads packages, which are named without those that they depend on, and unpacks them into
// dir, as if that were /.
func Unpack(ctx context.Context, dir string, packages ...string) error {
	run := func(args ...string) error {
		_, err := command.Run(ctx, command.Command{Args: args, Dir: dir})
		return err
	}
	download := func() error { return run(append([]string{"apt-get", "download"}, packages...)...) }
	// Where nobody has asked for the lists yet, there is no such package.
	err := download()
	if err != nil && os.Geteuid() == 0 {
		if err = run("apt-get", "update"); err == nil {
			err = download()
		}
	}
	if err != nil {
		return fmt.Errorf("get %q: %w", packages, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) != len(packages) {
		return fmt.Errorf("get %q: downloaded %q, %w", packages, files, err)
	}
	for _, file := range files {
		if err := run("dpkg-deb", "--extract", file, "."); err != nil {
			return fmt.Errorf("get %q: %w", packages, err)
		}
	}
	return nil
}
