package bootdir

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestFind(t *testing.T) {
	const (
		grub     = "/grub/grub.cfg"
		kernels  = "/kernels/a-linux"
		systemd  = "/EFI/nixos/a-linux.efi"
		infoLine = "36 25 8:1 / DIR rw,relatime shared:1 - KIND /dev/sda1 rw\n"
	)
	for _, tt := range []struct {
		name    string
		files   []string
		mounted map[string]string // the kinds of file systems, by mount point
		want    []string
	}{
		{"nothing installed yet", nil, nil, []string{"/boot"}},
		{"the EFI system partition at /boot", []string{"/boot" + systemd}, nil, []string{"/boot"}},
		{"at /efi", []string{"/efi" + systemd}, nil, []string{"/efi"}},
		{"at /boot/efi", []string{"/boot/efi" + systemd}, nil, []string{"/boot/efi"}},
		{"with GRUB alone on it", []string{"/boot" + grub, "/boot" + kernels, "/boot/efi/EFI/BOOT/BOOTX64.EFI"}, nil, []string{"/boot"}},
		{"with the kernels on another one beside it", []string{"/efi/EFI/systemd/systemd-bootx64.efi", "/boot" + systemd}, nil, []string{"/boot"}},
		{
			"GRUB's mirrored boots",
			[]string{"/boot1" + grub, "/boot1" + kernels, "/boot 2" + grub, "/boot 2" + kernels},
			map[string]string{"/boot1": "ext4", `/boot\0402`: "vfat"},
			[]string{"/boot 2", "/boot1"},
		},
		{"elsewhere", []string{"/mnt/esp" + systemd}, map[string]string{"/mnt/esp": "vfat"}, []string{"/mnt/esp"}},
		{"not one that is not mounted", []string{"/mnt/esp" + systemd}, nil, []string{"/boot"}},
		{"nor one over the network", []string{"/mnt/esp" + systemd}, map[string]string{"/mnt/esp": "nfs4"}, []string{"/boot"}},
		{"GRUB that loads the kernels from the store", []string{"/boot" + grub}, map[string]string{"/": "ext4"}, []string{"/boot"}},
		{"extlinux and Limine", []string{"/boot/extlinux/extlinux.conf", "/boot/nixos/a-Image", "/efi/limine/limine.conf"}, nil, []string{"/boot", "/efi"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, mounts := t.TempDir(), ""
			for dir, kind := range tt.mounted {
				mounts += strings.NewReplacer("DIR", dir, "KIND", kind).Replace(infoLine)
			}
			for _, name := range append(tt.files, mountInfo) {
				file := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(mounts), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Find(root)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, slices.Sorted(slices.Values(got))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWritten(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "proc/self"), 0o755); err != nil {
		t.Fatal(err)
	}
	const mounts = `22 1 8:2 / / rw - btrfs /dev/sda2 rw
36 22 8:1 / /boot rw - vfat /dev/sda1 rw
37 22 0:50 / /net/home rw - nfs4 server:/home rw
38 22 0:51 / /run rw - tmpfs tmpfs rw
39 22 0:52 / /mnt/windows rw - cifs //server/c rw
`
	if err := os.WriteFile(filepath.Join(root, mountInfo), []byte(mounts), 0o600); err != nil {
		t.Fatal(err)
	}
	boot, others, err := Written(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"/boot"}, {"/", "/nix/store", "/boot"}}, [][]string{boot, others}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// systemd waits for the disk of an automount for 90 s, each time that it is looked for
// something below it.
func TestADiskThatIsNotThereIsWaitedForOnce(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{{unix.ENODEV, 1}, {fs.ErrNotExist, len(marks())}, {unix.EIO, len(marks())}} {
		asked := 0
		has := hasKernels("/efi", func(name string) (fs.FileInfo, error) {
			asked++
			return nil, &fs.PathError{Op: "stat", Path: name, Err: tt.err}
		})
		if has || asked != tt.want {
			t.Errorf("%v: has kernels: %t, asked %d times; want %d", tt.err, has, asked, tt.want)
		}
	}
}

// As where a mount of a disk that went away is asked before the one that boots.
func TestADiskThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	const (
		others  = "36 22 8:1 / /mnt/esp rw - vfat /dev/sda1 rw\n37 22 8:17 / /data rw - ext4 /dev/sdb1 rw\n"
		waits   = "38 22 0:53 / /efi rw - autofs systemd-1 rw\n" // for a look at it, to mount its disk
		mounted = "39 38 8:33 / /efi rw - vfat /dev/sdc1 rw\n"
	)
	for _, tt := range []struct {
		name          string
		before, after string // what is mounted besides, and once it was looked at
		want          []string
	}{
		{"an automount of a disk that is not there", waits, waits, []string{"/mnt/esp"}},
		{"an EFI system partition that hangs", mounted, mounted, []string{"/efi", "/mnt/esp"}},
		{"one that hangs once it is mounted for the look", waits, waits + mounted, []string{"/efi", "/mnt/esp"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root := t.TempDir()
				if err := os.MkdirAll(filepath.Join(root, "proc/self"), 0o755); err != nil {
					t.Fatal(err)
				}
				mount := func(lines string) {
					if err := os.WriteFile(filepath.Join(root, mountInfo), []byte(others+lines), 0o600); err != nil {
						t.Error(err)
					}
				}
				mount(tt.before)
				dead := make(chan struct{})
				defer close(dead)
				began := time.Now()
				boot, _, err := written(t.Context(), root, func(dir string) bool {
					if dir == "/efi" {
						mount(tt.after)
					}
					if dir == "/efi" || dir == "/data" {
						<-dead
					}
					return dir == "/mnt/esp"
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, boot); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if took := time.Since(began); took != patience {
					t.Errorf("it was waited for for %s", took)
				}
			})
		})
	}
}
