// Package aarch64 makes of this machine, and of the hosts on it, one that runs programs for
// another processor, too, so that what is built for that is built, and not only asked for.
package aarch64

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kedge/e2e/rootfs"
)

// Builder is where hosts have [Compile]'s program.
const Builder = "/root/aarch64-builder"

// Where the kernel is told what runs programs of other kinds, and as what it knows ours: by
// the beginning of the file, without what may differ, and opened now (F), so that it need
// not be in a host. See Documentation/admin-guide/binfmt-misc.rst in Linux.
const (
	formats = "/proc/sys/fs/binfmt_misc"
	name    = "kedge-e2e-aarch64"
	format  = ":" + name + `:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:` +
		`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:` + rootfs.Emulator + ":F"
)

// Ensure installs an emulator, unless it is there, and has the kernel run programs for
// aarch64 by it, until it boots the next time. It must run as root.
func Ensure(ctx context.Context, log func(string)) error {
	if err := rootfs.EnsureEmulator(ctx, log); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(formats, "register")); errors.Is(err, fs.ErrNotExist) {
		if err := unix.Mount("binfmt_misc", formats, "binfmt_misc", 0, ""); err != nil {
			return fmt.Errorf("mount %s, for which the kernel needs CONFIG_BINFMT_MISC: %w", formats, err)
		}
	}
	err := os.WriteFile(filepath.Join(formats, "register"), []byte(format), 0)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("have the kernel run programs for aarch64: %w", err)
	}
	return nil
}

// Compile writes a program for aarch64, which makes a system of itself, into a file. It works
// in the current directory, which must be the module's.
func Compile(ctx context.Context, file string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, "./e2e/cmd/armbuilder")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64", "GOFLAGS=-trimpath -buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile for aarch64: %w\n%s", err, out)
	}
	return nil
}
