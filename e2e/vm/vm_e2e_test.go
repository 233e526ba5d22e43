//go:build e2e

package vm_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/e2e/hosts"
	"kedge/e2e/rootfs"
	"kedge/e2e/vm"
)

const (
	// bootTimeout bounds a boot, also where everything is emulated and the machine is busy.
	bootTimeout = 3 * time.Minute
	loaderFile  = "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
)

// An entry of the boot menu: its name and its kernel parameters.
type entry struct{ name, options string }

// newComputer makes a computer with plain Debian in these boot entries, the first one the default, and boots it.
func newComputer(t *testing.T, entries ...entry) *vm.Computer {
	t.Helper()
	root, err := vm.Prepare(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	n, err := hosts.New(t.Context(), hosts.NetworkOptions{Fleet: "vm-test", Rootfs: root, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Destroy(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	m, err := n.Machine(t.Context(), hosts.Options{Name: "computer"})
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{
		"EFI/BOOT/BOOTX64.EFI": loaderFile, "EFI/debian/linux.efi": rootfs.Linux + "/bzImage", "EFI/debian/initrd.efi": rootfs.Linux + "/initrd",
	} {
		content, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.WriteFile("/boot/"+name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{"loader.conf": "timeout 0\ndefault " + entries[0].name + "\n"}
	for _, e := range entries {
		files["entries/"+e.name] = fmt.Sprintf("title %s\nlinux /EFI/debian/linux.efi\ninitrd /EFI/debian/initrd.efi\noptions quiet console=ttyS0 panic=1 %s\n", e.name, e.options)
	}
	for name, content := range files {
		if err := m.WriteFile("/boot/loader/"+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := vm.New(t.Context(), vm.Options{Network: n, Machine: m, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.PowerCut)
	awaitBoots(t, c, 1)
	requireEntry(t, c, entries[0].name)
	return c
}

func awaitBoots(t *testing.T, c *vm.Computer, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	began := time.Now()
	if err := c.AwaitBoots(ctx, n); err != nil {
		t.Fatal(err)
	}
	t.Logf("boot %d after %v", n, time.Since(began).Round(100*time.Millisecond))
}

func requireEntry(t *testing.T, c *vm.Computer, want string) {
	t.Helper()
	got, err := c.Entry(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("the loader has booted %q, want %q", got, want)
	}
}

// bootOnce arms the entry and reboots.
func bootOnce(t *testing.T, c *vm.Computer, entry string) {
	t.Helper()
	if _, err := c.Run(t.Context(), "bootctl", "set-oneshot", entry); err != nil {
		t.Fatal(err)
	}
	reboot(t, c)
}

func reboot(t *testing.T, c *vm.Computer) {
	t.Helper()
	if _, err := c.Run(t.Context(), "systemctl", "--no-block", "reboot"); err != nil {
		t.Fatal(err)
	}
}

// TestBootsThatFail: an entry booted once is booted once, and one that panics or hangs comes back on the default by itself.
func TestBootsThatFail(t *testing.T) {
	const hang = "/usr/sbin/hang"
	c := newComputer(t,
		entry{"proven.conf", ""},
		entry{"good.conf", "init=/usr/lib/systemd/systemd"},
		entry{"panics.conf", "init=/does-not-exist"},
		entry{"hangs.conf", "init=" + hang},
	)
	bootOnce(t, c, "good.conf")
	awaitBoots(t, c, 2)
	requireEntry(t, c, "good.conf")

	bootOnce(t, c, "panics.conf")
	awaitBoots(t, c, 3)
	requireEntry(t, c, "proven.conf")
	requireConsole(t, c, "Kernel panic")

	if _, err := c.Run(t.Context(), "sh", "-c", `printf '#!/bin/sh\necho it hangs >/dev/console\nexec sleep infinity\n' >"$0" && chmod +x "$0"`, hang); err != nil {
		t.Fatal(err)
	}
	bootOnce(t, c, "hangs.conf")
	awaitBoots(t, c, 4)
	requireEntry(t, c, "proven.conf")
	requireConsole(t, c, "it hangs")
}

func requireConsole(t *testing.T, c *vm.Computer, want string) {
	t.Helper()
	said, err := os.ReadFile(c.Console())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(said), want) {
		t.Errorf("the console never said %q:\n%s", want, said)
	}
}
