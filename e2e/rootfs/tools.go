package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"kedge/e2e/internal/command"
)

// tool is a program that the test hosts need, or a file by its whole path, and the Debian package that has it.
type tool struct{ program, pkg string }

func tools() []tool {
	return []tool{
		{"debootstrap", "debootstrap"},
		{"systemd-nspawn", "systemd-container"},
		{"nft", "nftables"},
		{"ip", "iproute2"},
		{"nsenter", "util-linux"},
		{"unshare", "util-linux"},
		{"mkfs.ext4", "e2fsprogs"},
	}
}

// vmTools is what computers need beside tools.
func vmTools() []tool {
	return []tool{
		{"qemu-system-x86_64", "qemu-system-x86"},
		{"/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"},
		{"sgdisk", "gdisk"},
		{"mformat", "mtools"},
		{"mkfs.ext4", "e2fsprogs"},
	}
}

// ErrNotRoot says that hosts cannot be made because the process is not root.
var ErrNotRoot = errors.New("test hosts need root: run as root, for example with sudo")

// EnsureTools installs, through apt-get, what is missing of the programs that make and run test hosts. It returns
// [ErrNotRoot] without trying anything if the process is not root.
func EnsureTools(ctx context.Context, log func(string)) error { return ensureTools(ctx, tools(), log) }

// EnsureVMTools is [EnsureTools] of the programs that make and run computers, the firmware among them.
func EnsureVMTools(ctx context.Context, log func(string)) error {
	return ensureTools(ctx, vmTools(), log)
}

func ensureTools(ctx context.Context, needed []tool, log func(string)) error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	if len(missingPackages(needed, find)) == 0 {
		return nil
	}
	// Tests of several packages may want theirs at the same time, and apt-get waits for nobody.
	if err := os.MkdirAll(Cache, 0o755); err != nil {
		return fmt.Errorf("install tools: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(Cache, "apt.lock"), log)
	if err != nil {
		return fmt.Errorf("install tools: %w", err)
	}
	defer unlock()
	missing := missingPackages(needed, find)
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install %s: this machine has no apt-get; install them by hand: %w", names, err)
	}
	log("installing " + names)
	env := append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if _, err := command.Run(ctx, command.Command{Args: []string{"apt-get", "update"}, Env: env}); err != nil {
		return fmt.Errorf("install %s: %w", names, err)
	}
	args := append([]string{"apt-get", "install", "--yes", "--no-install-recommends", "-oDPkg::Lock::Timeout=600"}, missing...)
	if _, err := command.Run(ctx, command.Command{Args: args, Env: env}); err != nil {
		return fmt.Errorf("install %s: %w", names, err)
	}
	return nil
}

// find is exec.LookPath, but for a file with its whole path, which need not be a program.
func find(name string) (string, error) {
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return name, err
	}
	return exec.LookPath(name)
}

// missingPackages returns the packages of the needed that look does not find, each once.
func missingPackages(needed []tool, look func(string) (string, error)) (pkgs []string) {
	for _, t := range needed {
		if _, err := look(t.program); err != nil && !slices.Contains(pkgs, t.pkg) {
			pkgs = append(pkgs, t.pkg)
		}
	}
	return pkgs
}

// EnsureBrowser is [EnsureTools] of a real browser, Chromium.
func EnsureBrowser(ctx context.Context, log func(string)) error {
	return ensureTools(ctx, []tool{{"chromium", "chromium"}}, log)
}

// Emulator runs programs for aarch64.
const Emulator = "/usr/bin/qemu-aarch64-static"

// EnsureEmulator is [EnsureTools] of [Emulator].
func EnsureEmulator(ctx context.Context, log func(string)) error {
	return ensureTools(ctx, []tool{{Emulator, "qemu-user-static"}}, log)
}
