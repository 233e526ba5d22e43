//go:build e2e

package rootfs_test

import (
	"os"
	"path/filepath"
	"testing"

	"kedge/e2e/rootfs"
)

func TestEnsureMakesTheRootFileSystemOnce(t *testing.T) {
	say := func(line string) { t.Log(line) }
	if err := rootfs.EnsureTools(t.Context(), say); err != nil {
		t.Fatal(err)
	}
	dir, err := rootfs.Ensure(t.Context(), say)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"usr/sbin/e2e-firmware", "usr/sbin/bootctl", "usr/lib/systemd/systemd", "usr/bin/nix", "usr/bin/git", "etc/nix/nix.conf"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%s is missing: %v", name, err)
			continue
		}
		if filepath.Dir(name) != "etc/nix" && info.Mode()&0o111 == 0 {
			t.Errorf("%s has mode %v, want it executable", name, info.Mode())
		}
	}
	again, err := rootfs.Ensure(t.Context(), func(line string) { t.Errorf("the second Ensure says %q, want it to reuse", line) })
	if err != nil || again != dir {
		t.Errorf("the second Ensure = %q, %v, want %q", again, err, dir)
	}
}

func TestEnsureBootableHasWhatIsBooted(t *testing.T) {
	say := func(line string) { t.Log(line) }
	if err := rootfs.EnsureTools(t.Context(), say); err != nil {
		t.Fatal(err)
	}
	dir, err := rootfs.EnsureBootable(t.Context(), say)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{rootfs.Linux + "/bzImage", rootfs.Linux + "/initrd", "usr/bin/bootctl", "usr/lib/systemd/boot/efi/systemd-bootx64.efi", "usr/lib/e2e/grubx64.efi", "usr/lib/systemd/systemd-bless-boot"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%s is missing: %v", name, err)
		} else if info.Size() < 10<<10 {
			t.Errorf("%s has %d bytes only", name, info.Size())
		}
	}
}
