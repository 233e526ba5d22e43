// Command install-bootloader TOPLEVEL is what a test host's switch-to-configuration calls to update
// the boot menu.
package main

import (
	"errors"
	"fmt"
	"os"

	"kedge/e2e/toplevel/bootloader"
)

func main() {
	if err := run(os.Args[1:], os.Getenv("NIXOS_INSTALL_BOOTLOADER")); err != nil {
		fmt.Fprintln(os.Stderr, "install-bootloader:", err)
		os.Exit(1)
	}
}

func run(args []string, reinstall string) error {
	if len(args) != 1 {
		return errors.New("usage: install-bootloader TOPLEVEL")
	}
	disk := bootloader.Disk{
		Boot:     "/boot",
		Profiles: "/nix/var/nix/profiles",
		Loader:   "/usr/lib/systemd/boot/efi/systemd-bootx64.efi",
		GRUB:     "/usr/lib/e2e/grubx64.efi",
	}
	return disk.Install(args[0], reinstall == "1")
}
