package rootfs

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"kedge/e2e/internal/command"
)

// bootable holds what makes a bootable root file system of a plain one: a script, and what is laid over first.
//
//go:embed bootable
var bootable embed.FS

// Linux is the directory of a bootable root file system that has the kernel and the initrd: bzImage and initrd. The initrd
// is stage 1 for a disk whose partitions are the EFI system partition, which becomes /boot/efi if that is there and else
// /boot, and the root file system; it arms the watchdog and sets up the network.
const Linux = "usr/lib/e2e/linux"

// EnsureBootable is [Ensure] of a root file system for a computer with UEFI firmware: with a kernel, systemd-boot, its
// bootctl, and GRUB. The first time takes half a minute more.
func EnsureBootable(ctx context.Context, log func(string)) (dir string, err error) {
	plain, err := Ensure(ctx, log)
	if err != nil {
		return "", err
	}
	return ensure(ctx, log, bootableKey(), func(ctx context.Context, dir string, p *progress) error {
		return buildBootable(ctx, plain, dir, p)
	})
}

// bootableKey is [key] of the bootable root file system.
func bootableKey() string {
	h := sha256.New()
	_, _ = fmt.Fprintln(h, key()) // writing to a hash never fails
	tree{bootable, "bootable"}.hash(h)
	return keyPrefix + "bootable-" + hex.EncodeToString(h.Sum(nil))[:12]
}

func buildBootable(ctx context.Context, plain, dir string, p *progress) error {
	apt, err := readApt(ctx)
	if err != nil {
		return err
	}
	script, err := bootable.ReadFile("bootable/install.sh")
	if err != nil {
		return err
	}
	p.begin("adding a kernel and a boot loader")
	if _, err := command.Run(ctx, command.Command{Args: []string{"cp", "--archive", "--reflink=auto", plain, dir}}); err != nil {
		return fmt.Errorf("copy the plain one: %w", err)
	}
	if err := (tree{bootable, "bootable/files"}).lay(dir); err != nil {
		return err
	}
	if err := prepare(dir); err != nil {
		return err
	}
	if err := inside(ctx, dir, apt, p, slices.Concat([]string{"sh", "-c", string(script), "install.sh"}, apt.options())...); err != nil {
		return fmt.Errorf("add a kernel and a boot loader: %w", err)
	}
	if err := finish(dir); err != nil { // once more: a newer systemd may have come along
		return err
	}
	// Here is the real one.
	return os.Remove(filepath.Join(dir, "usr/sbin/bootctl"))
}
