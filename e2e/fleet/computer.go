package fleet

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kedge/e2e/rootfs"
	"kedge/e2e/toplevel"
	"kedge/e2e/vm"
)

// computerTimeout bounds the boot of a computer, which may be emulated, on a
// machine that does a lot besides.
const computerTimeout = 6 * time.Minute

// computerPatience is that of the Must functions with a host on a computer: for
// two trial boots that come to nothing.
const computerPatience = 15 * time.Minute

// patience is that of the Must functions with this host.
func (h *Host) patience() time.Duration {
	if h.onComputer() {
		return computerPatience
	}
	return stepTimeout
}

// bootParams let a boot that panics be over within a second, and say little.
const bootParams = "quiet console=ttyS0 panic=1"

// onComputer reports whether the host runs on a computer.
func (h *Host) onComputer() bool { return slices.Contains(h.fleet.options.Computers, h.Name()) }

// GRUB reports whether the host's boot loader is GRUB.
func (h *Host) GRUB() bool { return slices.Contains(h.fleet.options.GRUB, h.Name()) }

// linux is the directory with the computers' kernel and initrd.
func (f *Fleet) linux() string { return filepath.Join(f.options.Bootable, rootfs.Linux) }

// prepareComputer gives the host's system a real kernel and initrd, and says which
// boot loader to install: GRUB, or systemd-boot that counts boots.
func (h *Host) prepareComputer(ctx context.Context) error {
	argv := []string{"touch", "/boot/e2e-count"}
	if h.GRUB() {
		argv = []string{"mkdir", "-p", "/boot/grub", "/boot/efi"}
	}
	if _, err := h.RunOffline(ctx, argv...); err != nil {
		return err
	}
	if _, err := toplevel.AddToStore(ctx, h.Machine, h.fleet.linux()); err != nil {
		return err
	}
	h.system.Kernel, h.system.KernelParams = h.fleet.kernel, bootParams
	return nil
}

// startComputer makes the computer, with what is installed on the machine's
// disk, and boots it.
func (h *Host) startComputer(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, computerTimeout)
	defer cancel()
	h.computer, err = vm.New(ctx, vm.Options{Network: h.fleet.network, Machine: h.Machine, Log: h.fleet.options.Log})
	if err != nil {
		return err
	}
	if err := h.computer.PowerOn(ctx); err != nil {
		return err
	}
	return h.computer.AwaitBoots(ctx, 1)
}

// Computer returns the computer that the host runs on; nil if it is in a
// container.
func (h *Host) Computer() *vm.Computer { return h.computer }

// Run runs a program on the host, as root in / with no input, and returns its
// standard output; see [hosts.Machine.Run] and [vm.Computer.Run].
func (h *Host) Run(ctx context.Context, argv ...string) (stdout string, err error) {
	if h.computer != nil {
		return h.computer.Run(ctx, argv...)
	}
	return h.Machine.Run(ctx, argv...)
}

// readFile reads a file on the host, which runs if it is on a computer.
func (h *Host) readFile(ctx context.Context, name string) ([]byte, error) {
	if h.computer != nil {
		out, err := h.computer.Run(ctx, "cat", name)
		return []byte(out), err
	}
	return h.ReadFile(name)
}

// readlink reads a link on the host, which runs if it is on a computer.
func (h *Host) readlink(ctx context.Context, name string) (string, error) {
	if h.computer != nil {
		out, err := h.computer.Run(ctx, "readlink", name)
		return strings.TrimSpace(out), err
	}
	return h.Readlink(name)
}
