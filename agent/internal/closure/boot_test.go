package closure

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kedge/agent/internal/bootdir"
	"kedge/proto"
)

const (
	oldSystem = "/nix/store/22222222222222222222222222222222-nixos-system-old"
	oldLinux  = "/nix/store/33333333333333333333333333333333-linux-1"
	newLinux  = "/nix/store/44444444444444444444444444444444-linux-2"
)

// bootTree is goodTree with kernels: the new system's is another one than that
// of the only generation.
func bootTree() tree {
	f := goodTree()
	for system, linux := range map[string]string{oldSystem: oldLinux, toplevelText: newLinux} {
		f[system+"/kernel"], f[system+"/initrd"] = "-> "+linux+"/bzImage", "-> "+linux+"/initrd"
		f[linux+"/bzImage"], f[linux+"/initrd"] = strings.Repeat("k", 100<<10), strings.Repeat("i", 50<<10)
	}
	f["/nix/var/nix/profiles/system-7-link"] = "-> " + oldSystem
	return f
}

func TestBootPartition(t *testing.T) {
	const enough = 150<<10 + spareBoot
	for _, tt := range []struct {
		name   string
		change func(tree)
		boot   any
		reason proto.Reason
	}{
		{"it just fits", func(tree) {}, Volume{ID: 2, Free: enough}, ""},
		{"one byte too few", func(tree) {}, Volume{ID: 2, Free: enough - 1}, proto.ReasonDiskFull},
		{"no partition of its own", func(tree) {}, Volume{ID: 1}, ""},
		{"none at all", func(tree) {}, nil, ""},
		{"one that is read-only", func(tree) {}, Volume{ID: 2, Free: enough, ReadOnly: true}, proto.ReasonReadOnly},
		{"one that cannot be asked", func(tree) {}, error(unix.EIO), proto.ReasonFetchFailed},
		{"a generation has the kernel already", func(f tree) {
			f[newSystem+"kernel"], f[newSystem+"initrd"] = "-> "+oldLinux+"/bzImage", "-> "+oldLinux+"/initrd"
		}, Volume{ID: 2}, ""},
		{"a generation has the kernel, but not the initrd", func(f tree) {
			f[newSystem+"kernel"] = "-> " + oldLinux + "/bzImage"
		}, Volume{ID: 2, Free: 50<<10 + spareBoot - 1}, proto.ReasonDiskFull},
		{"a specialisation has another kernel", func(f tree) {
			f[newSystem+"kernel"], f[newSystem+"initrd"] = "-> "+oldLinux+"/bzImage", "-> "+oldLinux+"/initrd"
			f[newSystem+"specialisation/debug/kernel"] = "-> " + newLinux + "/bzImage"
		}, Volume{ID: 2, Free: spareBoot}, proto.ReasonDiskFull},
		{"a specialisation has the same kernel", func(f tree) {
			f[newSystem+"specialisation/debug/kernel"] = "-> " + newLinux + "/bzImage"
		}, Volume{ID: 2, Free: enough}, ""},
		{"a generation was collected", func(f tree) {
			f["/nix/var/nix/profiles/system-6-link"] = "-> /nix/store/55555555555555555555555555555555-gone"
		}, Volume{ID: 2, Free: enough}, ""},
		{"a system without a kernel", func(f tree) {
			delete(f, newSystem+"kernel")
			delete(f, newSystem+"initrd")
		}, Volume{ID: 2}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := bootTree()
			tt.change(f)
			root := f.write(t)
			v := volumes{"/": Volume{ID: 1, Free: 1 << 30}}
			if tt.boot != nil {
				v[bootdir.Default] = tt.boot
			}
			err := Preflight{Root: root, Volume: v.in(root)}.Check(parse(t, toplevelText))
			if tt.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			requireReason(t, err, tt.reason)
			if tt.reason == proto.ReasonDiskFull && !strings.Contains(err.Error(), "boot partition") {
				t.Errorf("%q does not name the boot partition", err)
			}
		})
	}
}

// TestBootPartitions: wherever kernels are copied to there has to be room, and nowhere
// else.
func TestBootPartitions(t *testing.T) {
	const enough = 150<<10 + spareBoot
	mirrored := bootTree()
	mirrored["/boot/grub/grub.cfg"], mirrored["/boot/kernels/a"], mirrored["/boot/efi/EFI/BOOT/BOOTX64.EFI"] = "x", "x", "x"
	mirrored["/boot2/grub/grub.cfg"], mirrored["/boot2/kernels/a"] = "x", "x"
	mirrored["/proc/self/mountinfo"] = "36 25 8:1 / /boot2 rw - ext4 /dev/sdb1 rw\n"
	root := mirrored.write(t)
	v := volumes{"/": Volume{ID: 1, Free: 1 << 30}}
	p := Preflight{Root: root, Volume: v.in(root)}
	for _, tt := range []struct {
		dir    string
		volume Volume
		reason proto.Reason
	}{
		{"/boot", Volume{ID: 9, Free: enough - 1}, proto.ReasonDiskFull},
		{"/boot2", Volume{ID: 9, Free: enough - 1}, proto.ReasonDiskFull},
		{"/boot2", Volume{ID: 9, Free: enough, ReadOnly: true}, proto.ReasonReadOnly},
		{"/boot/efi", Volume{ID: 9, ReadOnly: true}, ""},
	} {
		v["/boot"], v["/boot/efi"], v["/boot2"] = Volume{ID: 2, Free: enough}, Volume{ID: 3}, Volume{ID: 4, Free: enough}
		v[tt.dir] = tt.volume
		err := p.Check(parse(t, toplevelText))
		if tt.reason == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.dir, err)
			}
			continue
		}
		requireReason(t, err, tt.reason)
		if !strings.Contains(err.Error(), tt.dir+",") && !strings.Contains(err.Error(), tt.dir+" is") {
			t.Errorf("%q does not name %s", err, tt.dir)
		}
	}
}

func TestAPreflightAsksOnceWhatIsMounted(t *testing.T) {
	f := bootTree()
	f["/proc/self/mountinfo"] = ""
	root := f.write(t)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, root+"/proc/self/mountinfo", unix.IN_OPEN|unix.IN_CLOSE_NOWRITE); err != nil {
		t.Fatal(err)
	}
	v := volumes{"/": Volume{ID: 1, Free: 1 << 30}}
	if err := (Preflight{Root: root, Volume: v.in(root)}).Check(parse(t, toplevelText)); err != nil {
		t.Fatal(err)
	}
	events := make([]byte, 16*unix.SizeofInotifyEvent)
	if n, err := unix.Read(fd, events); err != nil || n != 2*unix.SizeofInotifyEvent {
		t.Errorf("mountinfo was opened and closed, %d events in all, %v, want 2", n/unix.SizeofInotifyEvent, err)
	}
}
